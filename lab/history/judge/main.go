// Judges histories: judge [-timeout 60s] HISTORY...
//
// A history is good if one order of its operations, each placed between its call and its return, explains every answer. What
// can't be decided within the timeout is not good. Of a history that no order explains HISTORY.<n>.html shows porcupine's picture.
// Ends with 0 if all are good, with 1 if one isn't, with 2 if one can't be read.

package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

func main() {
	timeout := flag.Duration("timeout", time.Minute, "how long one history may take")
	flag.Parse()
	status := 0
	for _, path := range flag.Args() {
		good, err := judge(path, *timeout)
		switch {
		case err != nil:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		case !good:
			status = 1
		}
	}
	os.Exit(status)
}

// judge judges one history and says what it found.
func judge(path string, timeout time.Duration) (bool, error) {
	h, err := readHistory(path)
	if err != nil {
		return false, err
	}
	settle(h.values)
	settle(h.leases)
	all, seen := h.unknowns()
	fmt.Printf("%s: %d operations of values, %d of leases, %d unknown (%d of them seen), %d that say nothing: ",
		path, len(h.values), len(h.leases), all, seen, h.silent)
	parts := byToken(h.leases)
	models := make([]porcupine.Model, len(parts))
	for i := range models {
		models[i] = leaseModel()
	}
	if len(h.values) > 0 {
		m, err := newValues(h.values)
		if err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		parts, models = append(parts, h.values), append(models, m.model())
	}
	started := time.Now()
	for i, part := range parts {
		if result := check(models[i], part, timeout, fmt.Sprintf("%s.%d", path, i)); result != "" {
			h.problems = append(h.problems, result)
		}
	}
	if len(h.problems) == 0 {
		fmt.Printf("good (%v)\n", time.Since(started))
		return true, nil
	}
	fmt.Println("NOT GOOD")
	for _, problem := range h.problems[:min(len(h.problems), shown)] {
		fmt.Println(" ", problem)
	}
	if more := len(h.problems) - shown; more > 0 {
		fmt.Printf("  and %d more\n", more)
	}
	return false, nil
}

// So many problems of a history are told.
const shown = 5

// check says what is wrong with a part of a history; nothing if it is good. name tells the picture of one part from another's.
func check(model porcupine.Model, part []*Operation, timeout time.Duration, name string) string {
	operations := make([]porcupine.Operation, len(part))
	for i, o := range part {
		// A process has few threads.
		operations[i] = porcupine.Operation{ClientId: 16*o.Process + o.Thread, Input: o, Call: o.Call, Return: o.Return}
	}
	result := porcupine.CheckOperationsTimeout(model, operations, timeout)
	switch result {
	case porcupine.Ok:
		return ""
	case porcupine.Unknown:
		return fmt.Sprintf("not decided within %v", timeout)
	}
	_, info := porcupine.CheckOperationsVerbose(model, operations, timeout)
	picture := name + ".html"
	if err := porcupine.VisualizePath(model, info, picture); err != nil {
		picture = err.Error()
	}
	return fmt.Sprintf("no order explains it; %s; see %s", obstacle(operations, info), picture)
}

// obstacle says how far the longest order goes, and which operation was over first of those that have no place in it.
func obstacle(operations []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []int
	for _, order := range info.PartialLinearizations()[0] {
		if len(order) > len(longest) {
			longest = order
		}
	}
	placed := make(map[int]bool, len(longest))
	for _, id := range longest {
		placed[id] = true
	}
	first := -1
	for id := range operations {
		if !placed[id] && (first < 0 || operations[id].Return < operations[first].Return) {
			first = id
		}
	}
	text := fmt.Sprintf("the longest has %d of %d operations, and no place for\n    %s\n  after",
		len(longest), len(operations), operations[first].Input.(*Operation).describe())
	for _, id := range longest[max(0, len(longest)-shown):] {
		text += "\n    " + operations[id].Input.(*Operation).describe()
	}
	return text + "\n "
}
