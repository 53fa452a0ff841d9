// The library as Go sees it: through the package of examples/go, with goroutines that share one store.
package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/dirkv"
)

func open(t *testing.T, options dirkv.Options) *dirkv.Store {
	t.Helper()
	if options.Params == nil {
		options.Params = map[string]string{}
	}
	if options.Params["path"] == "" {
		options.Params["path"] = t.TempDir()
	}
	store, err := dirkv.OpenWith(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil && !errors.Is(err, dirkv.Closed) {
			t.Error(err)
		}
	})
	return store
}

// is wants this error, and a message that names the thing concerned.
func is(t *testing.T, err error, wanted dirkv.Status, named string) {
	t.Helper()
	if !errors.Is(err, wanted) || !strings.Contains(err.Error(), named) {
		t.Fatalf("%v instead of %v about %q", err, wanted, named)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func names(entries []dirkv.Entry) string {
	var found []string
	for _, e := range entries {
		found = append(found, fmt.Sprintf("%s:%d", e.Name, e.Kind))
	}
	return strings.Join(found, " ")
}

func TestStatuses(t *testing.T) {
	store := open(t, dirkv.Options{})
	revision := must[uint64](t)(store.Create("b", "k", []byte("1"), 0))
	_, err := store.Create("b", "k", nil, 0)
	is(t, err, dirkv.AlreadyExists, `"k"`)
	_, err = store.Get("b", "other")
	is(t, err, dirkv.NotFound, `"other"`)
	is(t, store.Delete("b", "other"), dirkv.NotFound, `"other"`)
	is(t, store.DeleteBucket("", "nothing"), dirkv.NotFound, `"nothing"`)
	_, err = store.CompareAndSwap("b", "k", []byte("2"), []byte("0"), 0)
	is(t, err, dirkv.CompareFailed, `"k"`)
	_, err = store.PutIfRevision("b", "k", []byte("2"), revision+1, 0)
	is(t, err, dirkv.CompareFailed, `"k"`)
	must[uint64](t)(store.PutIfRevision("b", "k", []byte("2"), revision, 0))
	_, err = store.Upsert("b", "k", nil, -1)
	is(t, err, dirkv.BadParameter, "TTL")
	for _, bad := range []string{"", ".", "..", "a/b", "a\x00b", "a\nb", "\xff", strings.Repeat("x", 1025)} {
		_, err = store.Upsert("b", bad, nil, 0)
		is(t, err, dirkv.BadParameter, "")
	}
	_, err = store.UpsertItems("b", nil)
	is(t, err, dirkv.BadParameter, "")
	_, err = store.Upsert("b", "large", make([]byte, 64<<20+1), 0)
	is(t, err, dirkv.LimitExceeded, "")
	_, err = dirkv.OpenWith(dirkv.Options{Params: map[string]string{"colour": "blue"}})
	is(t, err, dirkv.BadParameter, "colour")
	if err := store.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnly(t *testing.T) {
	path := t.TempDir()
	must[uint64](t)(open(t, dirkv.Options{Params: map[string]string{"path": path}}).Upsert("b", "k", []byte("v"), 0))
	reader := open(t, dirkv.Options{Params: map[string]string{"path": path, "read_only": "true"}})
	if value := must[[]byte](t)(reader.Get("b", "k")); string(value) != "v" {
		t.Fatal(value)
	}
	_, err := reader.Upsert("b", "k", nil, 0)
	is(t, err, dirkv.ReadOnly, "")
}

func TestValuesOfAllKinds(t *testing.T) {
	store := open(t, dirkv.Options{})
	every := make([]byte, 256*4096)
	for i := range every {
		every[i] = byte(i)
	}
	for _, value := range [][]byte{{}, {0}, []byte("a\x00b"), every} {
		must[uint64](t)(store.Upsert("b", "k", value, 0))
		if got := must[[]byte](t)(store.Get("b", "k")); !bytes.Equal(got, value) {
			t.Fatalf("%d bytes came back as %d others", len(value), len(got))
		}
	}
}

func TestLists(t *testing.T) {
	store := open(t, dirkv.Options{})
	batch := []dirkv.Put{{Key: "b", Value: []byte("2")}, {Key: "a", Value: []byte("0")}, {Key: "ü"}, {Key: "a", Value: []byte("1")}}
	revision := must[uint64](t)(store.UpsertItems("x/y", batch))
	must[uint64](t)(store.Upsert("x/y/a", "deep", []byte("3"), time.Hour))

	for _, row := range []struct {
		bucket, after string
		limit         uint64
		wanted        string
	}{
		{"", "", 0, "x:2"}, {"x", "", 0, "y:2"}, {"x/y", "", 0, "a:1 a:2 b:1 ü:1"}, {"x/y", "a", 0, "b:1 ü:1"},
		{"x/y", "aa", 1, "b:1"}, {"x/y", "ü", 0, ""}, {"nothing", "", 0, ""},
	} {
		if got := names(must[[]dirkv.Entry](t)(store.Keys(row.bucket, row.after, row.limit))); got != row.wanted {
			t.Errorf("%+v gives %s", row, got)
		}
	}

	items := must[[]dirkv.Entry](t)(store.Items("x/y", "", 0, false))
	wanted := []dirkv.Entry{
		{Kind: dirkv.Item, Name: "a", Value: []byte("1"), Revision: revision},
		{Kind: dirkv.Item, Name: "b", Value: []byte("2"), Revision: revision},
		{Kind: dirkv.Item, Name: "ü", Value: []byte{}, Revision: revision},
	}
	if !reflect.DeepEqual(items, wanted) {
		t.Fatalf("%+v", items)
	}
	all := must[[]dirkv.Entry](t)(store.Items("x", "", 0, true))
	if got := names(all); got != "y/a:3 y/a/deep:3 y/b:3 y/ü:3" || all[1].Revision <= revision {
		t.Fatal(got)
	}
	if left := time.Until(time.Unix(0, all[1].Expires)); left > time.Hour || left < time.Hour-time.Minute {
		t.Fatal(left)
	}
}

// A list of thousands comes over in one call.
func TestLargeBatch(t *testing.T) {
	store := open(t, dirkv.Options{})
	batch := make([]dirkv.Put, 10000)
	for i := range batch {
		batch[i] = dirkv.Put{Key: fmt.Sprintf("%05d", i), Value: bytes.Repeat([]byte{byte(i)}, i%50)}
	}
	revision := must[uint64](t)(store.UpsertItems("b", batch))
	items := must[[]dirkv.Entry](t)(store.Items("b", "", 0, false))
	for i, item := range items {
		if item.Name != batch[i].Key || !bytes.Equal(item.Value, batch[i].Value) || item.Revision != revision {
			t.Fatalf("%d: %+v", i, item)
		}
	}
	if len(items) != len(batch) {
		t.Fatal(len(items))
	}
}

func TestExpiry(t *testing.T) {
	now := time.Now()
	clock := dirkv.NewClock(now)
	// Before the store's cleanup, which comes first: cleanups run from the last to the first.
	t.Cleanup(clock.Free)
	store := open(t, dirkv.Options{Clock: clock})
	must[uint64](t)(store.Create("b", "k", []byte("v"), time.Minute))
	clock.Set(now.Add(time.Minute - 1))
	must[[]byte](t)(store.Get("b", "k"))
	must[uint64](t)(store.Touch("b", "k", time.Minute))
	clock.Set(now.Add(2*time.Minute - 2))
	must[[]byte](t)(store.Get("b", "k"))
	clock.Set(now.Add(2*time.Minute - 1))
	_, err := store.Get("b", "k")
	is(t, err, dirkv.NotFound, `"k"`)
	if left := must[[]dirkv.Entry](t)(store.Keys("", "", 0)); len(left) != 0 {
		t.Fatal(left)
	}
	must[uint64](t)(store.Create("b", "k", []byte("again"), 0))
}

func TestLocks(t *testing.T) {
	store := open(t, dirkv.Options{})
	fence := must[uint64](t)(store.Acquire("l", time.Minute, 0))
	_, err := store.Acquire("l", time.Minute, time.Millisecond)
	is(t, err, dirkv.Timeout, `"l"`)
	locks := must[[]dirkv.Entry](t)(store.Locks())
	if len(locks) != 1 || locks[0].Kind != dirkv.Held || locks[0].Name != "l" || locks[0].Revision != fence ||
		locks[0].Pid != uint32(os.Getpid()) || len(locks[0].Value) == 0 {
		t.Fatalf("%+v", locks)
	}
	if err := store.Renew("l", fence, time.Minute); err != nil {
		t.Fatal(err)
	}
	is(t, store.Release("l", fence+1), dirkv.CompareFailed, `"l"`)
	if err := store.Release("l", fence); err != nil {
		t.Fatal(err)
	}
	is(t, store.Release("l", fence), dirkv.NotFound, `"l"`)
	is(t, store.Renew("l", fence, time.Minute), dirkv.LockLost, `"l"`)
	_, err = store.Acquire("l", time.Hour, 0)
	is(t, err, dirkv.BadParameter, "max_lock_ttl")
	if next := must[uint64](t)(store.Acquire("l", time.Minute, 0)); next <= fence {
		t.Fatalf("fence %d follows %d", next, fence)
	}
}

// Goroutines change threads as they like, and the collector runs: neither errors nor handles may mind.
func TestGoroutines(t *testing.T) {
	const goroutines, each = 8, 100
	store := open(t, dirkv.Options{})
	must[uint64](t)(store.Create("b", "n", []byte("0"), 0))
	var wait sync.WaitGroup
	for range [goroutines]int{} {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for done := 0; done < each; runtime.Gosched() {
				old, err := store.Get("b", "n")
				if err == nil {
					n, _ := strconv.Atoi(string(old))
					_, err = store.CompareAndSwap("b", "n", []byte(strconv.Itoa(n+1)), old, 0)
				}
				switch {
				case err == nil:
					done++
				case !errors.Is(err, dirkv.CompareFailed) || !strings.Contains(err.Error(), `"n"`):
					t.Error(err)
					return
				case done%10 == 0:
					runtime.GC()
				}
			}
		}()
	}
	wait.Wait()
	if n := must[[]byte](t)(store.Get("b", "n")); string(n) != strconv.Itoa(goroutines*each) {
		t.Fatalf("%s", n)
	}
}

func TestCloseWakesWhoWaits(t *testing.T) {
	store := open(t, dirkv.Options{})
	must[uint64](t)(store.Acquire("l", time.Minute, 0))
	waited := make(chan error)
	go func() {
		_, err := store.Acquire("l", time.Minute, -1)
		waited <- err
	}()
	select {
	case err := <-waited:
		t.Fatalf("it didn't wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-waited:
		is(t, err, dirkv.Closed, "")
	case <-time.After(20 * time.Second):
		t.Fatal("close didn't wake who waits for a lock")
	}
	_, err := store.Get("b", "k")
	is(t, err, dirkv.Closed, "")
	is(t, store.Close(), dirkv.Closed, "")
}
