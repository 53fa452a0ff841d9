// The format of a history: one operation a line. Its manual is the head of ../src/history.rs.

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Entry is an item that is written or listed.
type Entry struct {
	Key      string
	Value    string
	Revision uint64
	TTL      int64
	Expires  int64
}

// Args are the arguments of any operation; each kind has some of them.
type Args struct {
	Key      string
	Value    string
	Previous string
	Expected uint64
	Items    []Entry
	TTL      int64
	Wait     int64
	Fence    uint64
}

// Operation is one line.
type Operation struct {
	Process  int
	Thread   int
	Op       string
	Args     Args
	Call     int64
	Return   int64
	Outcome  string
	Revision uint64
	Expires  int64
	Value    string
	Message  string
	Listing  []Entry

	// What it puts, if it does something.
	puts []put
	// Nobody was told whether it happened.
	unknown bool
	// Nobody was told, but what it wrote was seen: it happened.
	seen bool
	// Until when its process lived, whatever Return has become.
	end int64
}

// What an outcome says.
const (
	answered = iota + 1
	refused
	unknown
)

var outcomes = map[string]int{
	"OK": answered, "NOT_FOUND": answered, "ALREADY_EXISTS": answered, "COMPARE_FAILED": answered, "LOCK_LOST": answered,
	"HELD": answered,
	"IO":   refused, "NO_SPACE": refused, "TIMEOUT": refused,
	"KILLED": unknown, "UNCERTAIN": unknown,
}

func (o *Operation) isRead() bool {
	switch o.Op {
	case "get", "get_item", "exists", "items", "keys", "locks":
		return true
	}
	return false
}

func (o *Operation) isLease() bool {
	return o.Op == "locks" || strings.HasSuffix(o.Op, "_lock")
}

// history is what a file holds.
type history struct {
	values []*Operation
	leases []*Operation
	// How many lines say nothing about the order: nothing happened, or nobody heard what was read.
	silent int
	// Answers that no order explains.
	problems []string
}

func readHistory(path string) (*history, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	h := &history{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		o := &Operation{}
		if err := json.Unmarshal(lines.Bytes(), o); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		h.add(o)
	}
	return h, lines.Err()
}

func (h *history) add(o *Operation) {
	says := outcomes[o.Outcome]
	o.unknown, o.end = says == unknown, o.Return
	switch {
	case says == 0:
		h.problems = append(h.problems, "nothing explains the answer to "+o.describe())
	case says == refused || o.unknown && o.isRead():
		h.silent++
	case o.isLease():
		h.leases = append(h.leases, o)
	default:
		h.values = append(h.values, o)
	}
}

// unknowns counts the operations of which nobody was told whether they happened.
func (h *history) unknowns() (all, seen int) {
	for _, o := range h.values {
		if o.unknown {
			all++
		}
		if o.seen {
			seen++
		}
	}
	for _, o := range h.leases {
		if o.unknown {
			all++
		}
	}
	return all, seen
}

// describe is what the visualisation shows.
func (o *Operation) describe() string {
	var text strings.Builder
	fmt.Fprintf(&text, "process %d.%d: %s(%s", o.Process, o.Thread, o.Op, o.Args.Key)
	for _, arg := range []string{o.Args.Value, o.Args.Previous} {
		if arg != "" {
			fmt.Fprintf(&text, ", %s", arg)
		}
	}
	if o.Args.TTL != 0 {
		fmt.Fprintf(&text, ", for %d", o.Args.TTL)
	}
	if o.Args.Expected != 0 || o.Args.Fence != 0 {
		fmt.Fprintf(&text, ", at %d", max(o.Args.Expected, o.Args.Fence))
	}
	text.WriteString(entries(o.Args.Items))
	fmt.Fprintf(&text, ") -> %s %s%s", o.Outcome, o.Value, entries(o.Listing))
	if o.Revision != 0 {
		fmt.Fprintf(&text, " at %d", o.Revision)
	}
	if o.Expires != 0 {
		fmt.Fprintf(&text, " until %d", o.Expires)
	}
	fmt.Fprintf(&text, " in %d..%d", o.Call, o.end)
	if o.Message != "" {
		fmt.Fprintf(&text, " (%s)", o.Message)
	}
	return text.String()
}

func entries(entries []Entry) string {
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&text, " %s=%s@%d", e.Key, e.Value, e.Revision)
		if e.TTL != 0 || e.Expires != 0 {
			fmt.Fprintf(&text, "(%d)", max(e.TTL, e.Expires))
		}
	}
	return text.String()
}
