// The model of the values: the whole store is one state, because batches, deletions of buckets and listings tie keys together.
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

// slot is a key's value; of an absent one all is zero.
type slot struct {
	value    string
	revision uint64
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
	answer := m.answer(s, o)
	switch {
	case o.unknown && answer != "OK":
		return !o.seen, s
	case !o.unknown && answer != o.Outcome:
		return false, s
	case answer != "OK":
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
	found := *m.slot(&s, o.Args.Key)
	if found.value == "" {
		return o.Outcome == "NOT_FOUND"
	}
	switch o.Op {
	case "get":
		return o.Outcome == "OK" && found.value == o.Value
	case "get_item":
		return o.Outcome == "OK" && found == slot{o.Value, o.Revision}
	}
	return o.Outcome == "OK"
}

// lists says whether a listing is everything that is there, and nothing else.
func (m *values) lists(s store, o *Operation) bool {
	there := 0
	for i, key := range m.keys {
		if s.slots[i].value != "" && lies(key, o.Args.Key) {
			there++
		}
	}
	for _, e := range o.Listing {
		found := *m.slot(&s, e.Key)
		if found.value == "" || o.Op == "items" && found != (slot{e.Value, e.Revision}) {
			return false
		}
	}
	return o.Outcome == "OK" && there == len(o.Listing)
}

// lies says whether a key lies under a bucket.
func lies(key, bucket string) bool {
	return bucket == "" || strings.HasPrefix(key, bucket+"/")
}

// answer is what the store as it is answers to a change.
func (m *values) answer(s store, o *Operation) string {
	switch o.Op {
	case "upsert", "upsert_items":
		return "OK"
	case "delete_bucket":
		for i, key := range m.keys {
			if s.slots[i].value != "" && lies(key, o.Args.Key) {
				return "OK"
			}
		}
		return "NOT_FOUND"
	}
	found := *m.slot(&s, o.Args.Key)
	holds, otherwise := true, "COMPARE_FAILED"
	switch o.Op {
	case "create":
		holds, otherwise = found.value == "", "ALREADY_EXISTS"
	case "compare_and_swap":
		holds = found.value != "" && found.value == o.Args.Previous
	case "put_if_revision":
		holds = found.revision == o.Args.Expected
	case "delete", "delete_if_revision":
		if found.value == "" {
			return "NOT_FOUND"
		}
		holds = o.Op == "delete" || found.revision == o.Args.Expected
	default:
		panic("no operation is called " + o.Op)
	}
	if holds {
		return "OK"
	}
	return otherwise
}

// apply makes the change, whose condition holds.
func (m *values) apply(s store, o *Operation) (bool, store) {
	put := func(key, value string) { *m.slot(&s, key) = slot{value, o.Revision} }
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
	case "upsert_items":
		for _, item := range o.Args.Items {
			put(item.Key, item.Value)
		}
	default:
		put(o.Args.Key, o.Args.Value)
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
			fmt.Fprintf(&text, "%s=%s@%d ", key, found.value, found.revision)
		}
	}
	fmt.Fprintf(&text, "last %d", s.last)
	return text.String()
}
