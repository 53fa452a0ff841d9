// Operations of which nobody was told whether they happened.
//
// Such an operation may happen at any time after its call, or never: its place in the order has no end, and the model lets it
// pass without an effect. But no two operations write the same value, so that who reads the value of one proves that it
// happened, before that read was over, and tells its revision.

package main

// sight is the first time that a value was seen.
type sight struct {
	by       int64
	revision uint64
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
		if !o.unknown {
			continue
		}
		o.Return = last + 1
		for _, value := range o.writes() {
			if s, found := seen[value]; found {
				o.seen = true
				o.Return = min(o.Return, s.by)
				o.Revision = max(o.Revision, s.revision)
			}
		}
		if o.Revision == 0 && !o.isLease() {
			o.Revision = untold
		}
	}
}

// look notes every value that the answer shows.
func look(seen map[string]sight, o *Operation) {
	if o.Outcome != "OK" {
		return
	}
	note := func(value string, revision uint64) {
		if s, found := seen[value]; found {
			seen[value] = sight{min(s.by, o.Return), max(s.revision, revision)}
		} else if value != "" {
			seen[value] = sight{o.Return, revision}
		}
	}
	switch o.Op {
	case "get", "get_item":
		note(o.Value, o.Revision)
	case "items":
		for _, item := range o.Listing {
			note(item.Value, item.Revision)
		}
	case "compare_and_swap":
		note(o.Args.Previous, 0)
	}
}

// writes are the values that the operation puts.
func (o *Operation) writes() []string {
	switch o.Op {
	case "create", "upsert", "compare_and_swap", "put_if_revision":
		return []string{o.Args.Value}
	case "upsert_items":
		var values []string
		for _, item := range o.Args.Items {
			values = append(values, item.Value)
		}
		return values
	}
	return nil
}
