module example.org/dirkv/tests

go 1.21

require example.org/dirkv v0.0.0

replace example.org/dirkv => ../../examples/go
