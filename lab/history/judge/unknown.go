// What other operations tell of one: when a value ends, to the nanosecond; and of one of which nobody was told whether it happened,
// that it did.
//
// Such an operation may happen at any time after its call, or never: its place in the order has no end, and the model lets it
// pass without an effect. But no two operations write the same value or set an end with the same mark, so that who reads what one
// left proves that it happened, before that read was over, and tells its revision.

package main

import "fmt"

// put is what an operation does to a key: a value of "" is the one that is there.
type put struct {
	key, value string
	span
}

// sight is the first time that a value or an end was seen.
type sight struct {
	by       int64
	revision uint64
	expires  int64
}

// settle narrows what is unknown to what the rest of the history leaves open.
func settle(operations []*Operation) {
	seen := map[string]sight{}
	var last int64
	for _, o := range operations {
		look(seen, o)
		last = max(last, o.Return)
	}
	for _, o := range operations {
		if o.unknown {
			o.Return = last + 1
		}
		for _, e := range o.writes() {
			o.puts = append(o.puts, put{e.Key, e.Value, o.ends(e, seen)})
			for _, name := range []string{e.Value, mark(e.TTL)} {
				if s, found := seen[name]; found && o.unknown {
					o.seen = true
					o.Return = min(o.Return, s.by)
					o.Revision = max(o.Revision, s.revision)
				}
			}
		}
		if o.unknown && o.Revision == 0 && !o.isLease() {
			o.Revision = untold
		}
	}
}

// ends is when what the operation puts there ends: exactly, if a read told it, and it can be true.
func (o *Operation) ends(e Entry, seen map[string]sight) span {
	bounds := o.until(e.TTL)
	if s, found := seen[mark(e.TTL)]; found && bounds.earliest <= s.expires && s.expires <= bounds.latest {
		return told(s.expires)
	}
	return bounds
}

// mark names an end, by the TTL or by the moment; of what lasts for ever it is empty.
func mark(time int64) string {
	if time == 0 {
		return ""
	}
	return fmt.Sprintf("mark %d", time%tick)
}

// look notes every value and end that the answer shows.
func look(seen map[string]sight, o *Operation) {
	if o.Outcome != "OK" {
		return
	}
	note := func(name string, revision uint64, expires int64) {
		if s, found := seen[name]; found {
			seen[name] = sight{min(s.by, o.Return), max(s.revision, revision), max(s.expires, expires)}
		} else if name != "" {
			seen[name] = sight{o.Return, revision, expires}
		}
	}
	// The revision is that of the operation which set the end.
	item := func(value string, revision uint64, expires int64) {
		if expires == 0 {
			note(value, revision, 0)
			return
		}
		note(value, 0, 0)
		note(mark(expires), revision, expires)
	}
	switch o.Op {
	case "get":
		note(o.Value, 0, 0)
	case "get_item":
		item(o.Value, o.Revision, o.Expires)
	case "items":
		for _, e := range o.Listing {
			item(e.Value, e.Revision, e.Expires)
		}
	case "compare_and_swap":
		note(o.Args.Previous, 0, 0)
	}
}

// writes is what the operation puts, by the TTL that it was asked for.
func (o *Operation) writes() []Entry {
	switch o.Op {
	case "create", "upsert", "compare_and_swap", "put_if_revision", "touch":
		return []Entry{{Key: o.Args.Key, Value: o.Args.Value, TTL: o.Args.TTL}}
	case "upsert_items":
		return o.Args.Items
	}
	return nil
}
