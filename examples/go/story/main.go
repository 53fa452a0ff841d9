// The story of dirkv in Go: open, create, upsert a batch, swap, list, expire, and a lock that goes from one process to
// another. The package beside it wraps the C library with cgo.
//
//	go run ./story /tmp/a-new-directory
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"example.org/dirkv"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2:
		err = story(os.Args[1])
	case len(os.Args) == 3 && os.Args[2] == "second":
		err = secondProcess(os.Args[1])
	default:
		err = errors.New("usage: story DIRECTORY")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tell(what, format string, arguments ...any) {
	fmt.Printf("%-14s %s\n", what, fmt.Sprintf(format, arguments...))
}

// refused says how a call was refused; it is an error if it was not, or in another way.
func refused(wanted dirkv.Status, what string, err error) error {
	if !errors.Is(err, wanted) {
		return fmt.Errorf("%s: %v instead of %w", what, err, wanted)
	}
	tell(what, "%v", err)
	return nil
}

func story(path string) error {
	store, err := dirkv.Open(path)
	if err != nil {
		return err
	}
	tell("open", "dirkv %s", dirkv.Version())
	for _, chapter := range []func(*dirkv.Store, string) error{values, list, expire, lock} {
		if err := chapter(store, path); err != nil {
			return err
		}
	}
	if err := store.Close(); err != nil {
		return err
	}
	fmt.Println("all is well")
	return nil
}

func values(store *dirkv.Store, _ string) error {
	// A value lives in a bucket under a key. Create puts it only if none is there. The 0 is its time to live: for ever.
	if _, err := store.Create("shop/fruit", "apple", []byte("3"), 0); err != nil {
		return err
	}
	tell("create", "apple = 3")
	_, err := store.Create("shop/fruit", "apple", []byte("8"), 0)
	if err := refused(dirkv.AlreadyExists, "create again", err); err != nil {
		return err
	}

	// A batch happens as a whole or not at all, whoever looks and whatever crashes.
	batch := []dirkv.Put{{Key: "fig", Value: []byte("7")}, {Key: "pear", Value: []byte("5")}, {Key: "plum", Value: []byte("9")}}
	if _, err := store.UpsertItems("shop/fruit", batch); err != nil {
		return err
	}
	tell("batch", "fig, pear and plum at once")

	// Sell one apple. If somebody else was quicker, the value isn't 3 any more, and the swap is refused.
	if _, err := store.CompareAndSwap("shop/fruit", "apple", []byte("2"), []byte("3"), 0); err != nil {
		return err
	}
	tell("swap", "apple from 3 to 2")
	_, err = store.CompareAndSwap("shop/fruit", "apple", []byte("2"), []byte("3"), 0)
	if err := refused(dirkv.CompareFailed, "swap again", err); err != nil {
		return err
	}
	apples, err := store.Get("shop/fruit", "apple")
	if err != nil {
		return err
	}
	tell("get", "apple = %s", apples)
	return nil
}

func list(store *dirkv.Store, _ string) error {
	items, err := store.Items("shop/fruit", "", 0, false)
	if err != nil {
		return err
	}
	fmt.Printf("%-14s", "list")
	for _, item := range items {
		fmt.Printf(" %s=%s", item.Name, item.Value)
	}
	fmt.Println()
	return nil
}

func expire(store *dirkv.Store, path string) error {
	if _, err := store.Upsert("shop", "offer", []byte("half price"), time.Hour); err != nil {
		return err
	}
	offer, err := store.Get("shop", "offer")
	if err != nil {
		return err
	}
	tell("offer today", "%s", offer)

	// One process may open a store several times; this one lives by another clock.
	tomorrow := dirkv.NewClock(time.Now().Add(24 * time.Hour))
	defer tomorrow.Free()
	later, err := dirkv.OpenWith(dirkv.Options{Params: map[string]string{"path": path}, Clock: tomorrow})
	if err != nil {
		return err
	}
	_, err = later.Get("shop", "offer")
	if err := refused(dirkv.NotFound, "offer tomorrow", err); err != nil {
		return err
	}
	return later.Close()
}

func lock(store *dirkv.Store, path string) error {
	// A lock is a lease: should its holder die, it ends by itself, here after 30 s. The fence is a number that only grows:
	// who writes somewhere else under the lock shows it there, so that a holder who came too late is recognized.
	fence, err := store.Acquire("till", 30*time.Second, 0)
	if err != nil {
		return err
	}
	tell("first", "has the till, fence %d", fence)

	second := exec.Command(os.Args[0], path, "second")
	second.Stderr = os.Stderr
	output, err := second.StdoutPipe()
	if err != nil {
		return err
	}
	if err := second.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if lines.Text() != "second waits" {
			fmt.Println(lines.Text())
			continue
		}
		if err := store.Release("till", fence); err != nil {
			return err
		}
		tell("first", "gives it back")
	}
	return second.Wait()
}

// secondProcess tries, sees that the till is taken, says so, and waits for it.
func secondProcess(path string) error {
	store, err := dirkv.Open(path)
	if err != nil {
		return err
	}
	_, err = store.Acquire("till", 30*time.Second, 0)
	if err := refused(dirkv.Timeout, "second tries", err); err != nil {
		return err
	}
	fmt.Println("second waits")
	fence, err := store.Acquire("till", 30*time.Second, time.Minute)
	if err != nil {
		return err
	}
	tell("second", "has the till, fence %d", fence)
	if err := store.Release("till", fence); err != nil {
		return err
	}
	return store.Close()
}
