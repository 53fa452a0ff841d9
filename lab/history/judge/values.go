// The model of the values: the whole store is one state, because batches, deletions of buckets and listings tie keys together. A
// value that is over stays in its slot, since the clock alone tells whether a call finds it (times.go).
// A change must have a greater revision than every change before it.

package main

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"

	"github.com/anishathalye/porcupine"
)

// How many keys a history may use: the state is an array, so that it can be compared and hashed as it is.
const maxKeys = 8

// The revision of a value that nobody has read with its revision.
const untold = math.MaxUint64

// slot is a key's value, which may be over; of an absent one all is zero.
type slot struct {
	value    string
	revision uint64
	span
}

type store struct {
	slots [maxKeys]slot
	// The greatest revision so far.
	last uint64
}

// values knows which slot is whose.
type values struct {
	keys []string
}

// newValues finds the keys of a history.
func newValues(operations []*Operation) (*values, error) {
	known := map[string]bool{"": true}
	m := &values{}
	learn := func(key string) {
		if !known[key] {
			known[key] = true
			m.keys = append(m.keys, key)
		}
	}
	for _, o := range operations {
		if o.Op != "items" && o.Op != "keys" && o.Op != "delete_bucket" {
			learn(o.Args.Key)
		}
		for _, e := range append(o.Args.Items, o.Listing...) {
			learn(e.Key)
		}
	}
	if len(m.keys) > maxKeys {
		return nil, fmt.Errorf("%d keys are more than %d", len(m.keys), maxKeys)
	}
	return m, nil
}

func (m *values) model() porcupine.Model {
	seed := maphash.MakeSeed()
	return porcupine.Model{
		Init: func() any { return store{} },
		Step: func(state, input, _ any) (bool, any) {
			ok, next := m.step(state.(store), input.(*Operation))
			return ok, next
		},
		Hash:              func(state any) uint64 { return maphash.Comparable(seed, state.(store)) },
		DescribeOperation: func(input, _ any) string { return input.(*Operation).describe() },
		DescribeState:     func(state any) string { return m.describe(state.(store)) },
	}
}

// step says whether the operation, done now, may get the answer that it got, and what the store is then.
func (m *values) step(s store, o *Operation) (bool, store) {
	if o.isRead() {
		return m.reads(s, o), s
	}
	outcome := o.Outcome
	if o.unknown {
		outcome = "OK"
	}
	switch {
	case !m.may(s, o, outcome):
		return o.unknown && !o.seen, s
	case outcome != "OK":
		return true, s
	}
	return m.apply(s, o)
}

func (m *values) slot(s *store, key string) *slot {
	for i, known := range m.keys {
		if known == key {
			return &s.slots[i]
		}
	}
	panic("a key that the history doesn't have: " + key)
}

// reads says whether a read shows what is there.
func (m *values) reads(s store, o *Operation) bool {
	if o.Op == "items" || o.Op == "keys" {
		return m.lists(s, o)
	}
	found, w := *m.slot(&s, o.Args.Key), o.window()
	if o.Outcome == "NOT_FOUND" {
		return w.gone(found).open()
	}
	if o.Outcome != "OK" || !w.there(found).open() {
		return false
	}
	switch o.Op {
	case "get":
		return found.value == o.Value
	case "get_item":
		return found == slot{o.Value, o.Revision, told(o.Expires)}
	}
	return true
}

// lists says whether a listing is everything that is there at one moment, and nothing else.
func (m *values) lists(s store, o *Operation) bool {
	listed := make(map[string]Entry, len(o.Listing))
	for _, e := range o.Listing {
		listed[e.Key] = e
	}
	w, there := o.window(), 0
	for i, key := range m.keys {
		if !lies(key, o.Args.Key) {
			continue
		}
		found := s.slots[i]
		e, is := listed[key]
		if !is {
			w = w.gone(found)
			continue
		}
		there++
		w = w.there(found)
		if o.Op == "items" && found != (slot{e.Value, e.Revision, told(e.Expires)}) {
			return false
		}
	}
	return o.Outcome == "OK" && there == len(o.Listing) && w.open()
}

// lies says whether a key lies under a bucket.
func lies(key, bucket string) bool {
	return bucket == "" || strings.HasPrefix(key, bucket+"/")
}

// may says whether the store as it is may answer so to a change.
func (m *values) may(s store, o *Operation, outcome string) bool {
	switch o.Op {
	case "upsert", "upsert_items":
		return outcome == "OK"
	case "delete_bucket":
		return m.mayDeleteBucket(s, o, outcome)
	}
	found, w := *m.slot(&s, o.Args.Key), o.window()
	there, gone := w.there(found).open(), w.gone(found).open()
	matches := true
	switch o.Op {
	case "compare_and_swap":
		matches = found.value == o.Args.Previous
	case "put_if_revision", "delete_if_revision":
		matches = found.revision == o.Args.Expected
	}
	switch o.Op + " " + outcome {
	case "create OK", "delete NOT_FOUND", "delete_if_revision NOT_FOUND", "touch NOT_FOUND":
		return gone
	case "create ALREADY_EXISTS":
		return there
	case "put_if_revision OK":
		return there && matches || gone && o.Args.Expected == 0
	case "put_if_revision COMPARE_FAILED":
		return there && !matches || gone && o.Args.Expected != 0
	case "compare_and_swap OK", "delete_if_revision OK", "delete OK", "touch OK":
		return there && matches
	case "compare_and_swap COMPARE_FAILED":
		return there && !matches || gone
	case "delete_if_revision COMPARE_FAILED":
		return there && !matches
	}
	return false
}

// mayDeleteBucket says whether it may find something to delete, or nothing.
func (m *values) mayDeleteBucket(s store, o *Operation, outcome string) bool {
	any, none := false, o.window()
	for i, key := range m.keys {
		if lies(key, o.Args.Key) {
			any = any || o.window().there(s.slots[i]).open()
			none = none.gone(s.slots[i])
		}
	}
	return outcome == "OK" && any || outcome == "NOT_FOUND" && none.open()
}

// apply makes the change, whose condition holds.
func (m *values) apply(s store, o *Operation) (bool, store) {
	switch o.Op {
	case "delete", "delete_if_revision":
		*m.slot(&s, o.Args.Key) = slot{}
		return true, s
	case "delete_bucket":
		for i, key := range m.keys {
			if lies(key, o.Args.Key) {
				s.slots[i] = slot{}
			}
		}
		return true, s
	}
	for _, p := range o.puts {
		at := m.slot(&s, p.key)
		value := p.value
		if o.Op == "touch" {
			value = at.value
		}
		*at = slot{value, o.Revision, p.span}
	}
	if o.Revision == untold {
		return true, s
	}
	grows := o.Revision > s.last
	s.last = o.Revision
	return grows, s
}

func (m *values) describe(s store) string {
	var text strings.Builder
	for i, key := range m.keys {
		if found := s.slots[i]; found.value != "" {
			fmt.Fprintf(&text, "%s=%s@%d", key, found.value, found.revision)
			if (found.span != span{}) {
				fmt.Fprintf(&text, " until %d..%d", found.earliest, found.latest)
			}
			text.WriteString(", ")
		}
	}
	fmt.Fprintf(&text, "last %d", s.last)
	return text.String()
}
