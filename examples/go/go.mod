module example.org/dirkv

go 1.21
