// When things end. A value, or a lease, is there until its end and gone from then on, by the clock of the history. The store reads
// that clock once in a call, at some moment between call and return, to know what is over and to set an end: so both are known
// within bounds, and only what lies beyond all of them is held against the store.

package main

// The store's clock goes in steps of so much. What the TTL of a value has beyond whole steps is the mark of the operation, and
// of the end that it sets: no other of the history has it.
const tick = 100_000

// span holds the moment at which something ends; all zero, it never does.
type span struct {
	earliest, latest int64
}

// until is the end that an operation sets by a TTL.
func (o *Operation) until(ttl int64) span {
	if ttl == 0 {
		return span{}
	}
	w := o.window()
	return span{w.from + ttl, w.to + ttl}
}

// told is the span of an end that a read told: 0 is never.
func told(expires int64) span {
	return span{expires, expires}
}

// window holds the moment at which a call looked at the clock; none if from lies behind to.
type window struct {
	from, to int64
}

func (o *Operation) window() window {
	return window{o.Call - o.Call%tick, o.end}
}

// there is what is left of the window if the slot's value is there.
func (w window) there(s slot) window {
	switch {
	case s.value == "":
		return window{1, 0}
	case s.span != span{}:
		w.to = min(w.to, s.latest-1)
	}
	return w
}

// gone is what is left of the window if the slot's value is absent, or over.
func (w window) gone(s slot) window {
	switch {
	case s.value == "":
		return w
	case s.span == span{}:
		return window{1, 0}
	}
	w.from = max(w.from, s.earliest)
	return w
}

// open says whether there is such a moment.
func (w window) open() bool {
	return w.from <= w.to
}
