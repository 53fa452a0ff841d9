module dirkv.example/history/judge

go 1.26

// The judge of linearizability; it was not written here.
require github.com/anishathalye/porcupine v1.3.1
