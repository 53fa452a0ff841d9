// The model of leases: one state a token. When a lease ends is known within bounds (times.go). Fences grow.

package main

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// lease is who holds a token, or held it last.
type lease struct {
	held bool
	// The holder's fence; 0 if nobody was told.
	fence uint64
	span
	// The greatest fence so far.
	last uint64
}

func leaseModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return lease{} },
		Step: func(state, input, _ any) (bool, any) {
			ok, next := state.(lease).step(input.(*Operation))
			return ok, next
		},
		DescribeOperation: func(input, _ any) string { return input.(*Operation).describe() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state.(lease)) },
	}
}

// byToken parts a history: a listing of all leases says something of each token.
func byToken(operations []*Operation) [][]*Operation {
	tokens := map[string]bool{}
	for _, o := range operations {
		tokens[o.Args.Key] = true
	}
	delete(tokens, "")
	var parts [][]*Operation
	for token := range tokens {
		var part []*Operation
		for _, o := range operations {
			if o.Args.Key == token || o.Op == "locks" {
				part = append(part, o.about(token))
			}
		}
		parts = append(parts, part)
	}
	return parts
}

// about is what an operation says of one token.
func (o *Operation) about(token string) *Operation {
	if o.Op != "locks" {
		return o
	}
	one := *o
	one.Args.Key, one.Listing = token, nil
	for _, e := range o.Listing {
		if e.Key == token {
			one.Revision = e.Revision
		}
	}
	return &one
}

// mayBeOver says whether the lease may have ended by the time that the operation went by.
func (l lease) mayBeOver(o *Operation) bool {
	return !l.held || o.window().to >= l.earliest
}

// mayLast says whether the lease may still be there.
func (l lease) mayLast(o *Operation) bool {
	return l.held && o.window().from < l.latest
}

// step says whether the operation, done now, may get the answer that it got, and who holds the token then.
func (l lease) step(o *Operation) (bool, lease) {
	switch o.Op {
	case "acquire_lock":
		return l.acquire(o)
	case "renew_lock":
		holds := l.mayLast(o) && l.fence == o.Args.Fence
		return l.change(o, holds, l.mayBeOver(o) || l.fence != o.Args.Fence, l.lasting(o))
	case "release_lock":
		return l.release(o)
	case "locks":
		return l.show(o)
	}
	panic("no operation is called " + o.Op)
}

func (l lease) acquire(o *Operation) (bool, lease) {
	if o.Outcome == "HELD" {
		return l.mayLast(o), l
	}
	next := l.lasting(o)
	next.held, next.fence = true, o.Revision
	if o.Revision != 0 {
		next.last = o.Revision
	}
	switch {
	case !l.mayBeOver(o):
		return o.unknown, l
	case o.unknown:
		return true, next
	}
	return o.Revision > l.last, next
}

func (l lease) release(o *Operation) (bool, lease) {
	free := lease{last: l.last}
	matches := o.Args.Fence == 0 || o.Args.Fence == l.fence
	if o.Outcome == "NOT_FOUND" {
		return l.mayBeOver(o), l
	}
	return l.change(o, l.mayLast(o) && matches, l.mayLast(o) && !matches, free)
}

// change is done if it can be, and refused if it can be.
func (l lease) change(o *Operation, can, cannot bool, next lease) (bool, lease) {
	switch {
	case o.unknown && can:
		return true, next
	case o.unknown:
		return true, l
	case o.Outcome == "OK":
		return can, next
	}
	return cannot, l
}

// show is a listing: it tells a fence that nobody was told before.
func (l lease) show(o *Operation) (bool, lease) {
	if o.Revision == 0 {
		return l.mayBeOver(o), l
	}
	if l.fence == 0 && o.Revision > l.last {
		l.fence, l.last = o.Revision, o.Revision
	}
	return l.mayLast(o) && l.fence == o.Revision, l
}

// lasting is the lease with the end that the operation gives it.
func (l lease) lasting(o *Operation) lease {
	l.span = o.until(o.Args.TTL)
	return l
}
