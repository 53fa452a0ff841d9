// Package dirkv wraps the C library libdirkv: a key-value store in a plain directory, shared by many processes without a
// server. The header dirkv.h tells what each call means; here they take Go's strings, byte slices, durations and errors.
//
// Without further settings it is built against the repository that it lies in. Elsewhere, CGO_CFLAGS and CGO_LDFLAGS say
// where the header and the library are.
package dirkv

/*
#cgo CFLAGS: -I${SRCDIR}/../../include
#cgo LDFLAGS: -L${SRCDIR}/../../target/release -ldirkv
#include <dirkv.h>
#include <stdlib.h>

// The clock of Options.Clock: the time is where ctx points to.
static int64_t dirkv_go_clock(void *ctx) { return __atomic_load_n((int64_t *)ctx, __ATOMIC_SEQ_CST); }
static dirkv_status dirkv_go_set_clock(dirkv_params *params, int64_t *now, dirkv_error **err) {
	return dirkv_params_set_clock(params, dirkv_go_clock, now, err);
}
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

// Status is what a call answers. It is an error too, so that errors.Is(err, dirkv.NotFound) works.
type Status int32

// The statuses that callers decide upon; dirkv.h has them all.
const (
	NotFound      Status = C.DIRKV_NOT_FOUND
	AlreadyExists Status = C.DIRKV_ALREADY_EXISTS
	CompareFailed Status = C.DIRKV_COMPARE_FAILED
	BadParameter  Status = C.DIRKV_BAD_PARAMETER
	Timeout       Status = C.DIRKV_TIMEOUT
	LockLost      Status = C.DIRKV_LOCK_LOST
	ReadOnly      Status = C.DIRKV_READ_ONLY
	LimitExceeded Status = C.DIRKV_LIMIT_EXCEEDED
	Closed        Status = C.DIRKV_CLOSED
)

func (s Status) Error() string { return C.GoString(C.dirkv_status_name(C.dirkv_status(s))) }

// Error is a status with the sentence that explains it.
type Error struct {
	Status  Status
	Message string
}

func (e *Error) Error() string { return e.Status.Error() + ": " + e.Message }

// Unwrap makes errors.Is find the status.
func (e *Error) Unwrap() error { return e.Status }

// result turns what a call returned into a Go error and frees the C one.
func result(status C.dirkv_status, err *C.dirkv_error) error {
	if status == C.DIRKV_OK {
		return nil
	}
	defer C.dirkv_error_free(err)
	return &Error{Status(status), C.GoString(C.dirkv_error_message(err))}
}

// names gives strings to C until free is called.
type names []*C.char

func (n *names) add(s string) *C.char {
	// A NUL would end the name early. The library refuses every control character, so another one stands for it.
	c := C.CString(strings.ReplaceAll(s, "\x00", "\x01"))
	*n = append(*n, c)
	return c
}

func (n *names) free() {
	for _, c := range *n {
		C.free(unsafe.Pointer(c))
	}
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// Clock is a clock that stands still until it is set. It must live as long as the stores opened with it.
type Clock struct{ now *C.int64_t }

// NewClock makes a clock that shows this instant.
func NewClock(at time.Time) *Clock {
	c := &Clock{(*C.int64_t)(C.malloc(8))}
	c.Set(at)
	return c
}

// Set sets the clock.
func (c *Clock) Set(at time.Time) { atomic.StoreInt64((*int64)(c.now), at.UnixNano()) }

// Free frees the clock, after all stores that use it are closed.
func (c *Clock) Free() { C.free(unsafe.Pointer(c.now)) }

// Options say how a store is opened: parameters by name, as in the header's table, and perhaps a clock.
type Options struct {
	Params map[string]string
	Clock  *Clock
}

// Store is an open store. Any number of goroutines may use it.
type Store struct{ b *C.dirkv_backend }

// Version is the library's.
func Version() string { return C.GoString(C.dirkv_version()) }

// Open opens the store in a directory, creating it if absent.
func Open(path string) (*Store, error) {
	return OpenWith(Options{Params: map[string]string{"path": path}})
}

// OpenWith opens a store with all that can be said about it.
func OpenWith(options Options) (*Store, error) {
	var n names
	defer n.free()
	var err *C.dirkv_error
	params := C.dirkv_params_new()
	defer C.dirkv_params_free(params)
	for name, value := range options.Params {
		if e := result(C.dirkv_params_set(params, n.add(name), n.add(value), &err), err); e != nil {
			return nil, e
		}
	}
	if options.Clock != nil {
		if e := result(C.dirkv_go_set_clock(params, options.Clock.now, &err), err); e != nil {
			return nil, e
		}
	}
	var s Store
	if e := result(C.dirkv_open(params, &s.b, &err), err); e != nil {
		return nil, e
	}
	return &s, nil
}

// Close closes the store; who waits for a lock gets Closed, and so does every later call.
func (s *Store) Close() error {
	var err *C.dirkv_error
	return result(C.dirkv_close(s.b, &err), err)
}

// Create puts a value if none is there, else AlreadyExists. A ttl of 0 is for ever. The number is the change's revision.
func (s *Store) Create(bucket, key string, value []byte, ttl time.Duration) (uint64, error) {
	var n names
	defer n.free()
	var revision C.uint64_t
	var err *C.dirkv_error
	status := C.dirkv_create_val(s.b, n.add(bucket), n.add(key), pointer(value), C.size_t(len(value)), C.int64_t(ttl), &revision, &err)
	return uint64(revision), result(status, err)
}

// Upsert puts a value, whatever was there.
func (s *Store) Upsert(bucket, key string, value []byte, ttl time.Duration) (uint64, error) {
	var n names
	defer n.free()
	var revision C.uint64_t
	var err *C.dirkv_error
	status := C.dirkv_upsert_val(s.b, n.add(bucket), n.add(key), pointer(value), C.size_t(len(value)), C.int64_t(ttl), &revision, &err)
	return uint64(revision), result(status, err)
}

// CompareAndSwap puts a value if the one that is there equals previous, else CompareFailed.
func (s *Store) CompareAndSwap(bucket, key string, value, previous []byte, ttl time.Duration) (uint64, error) {
	var n names
	defer n.free()
	var revision C.uint64_t
	var err *C.dirkv_error
	status := C.dirkv_compare_and_swap_val(s.b, n.add(bucket), n.add(key), pointer(value), C.size_t(len(value)),
		pointer(previous), C.size_t(len(previous)), C.int64_t(ttl), &revision, &err)
	return uint64(revision), result(status, err)
}

// PutIfRevision puts a value if the one that is there has this revision (0: if none is there), else CompareFailed.
func (s *Store) PutIfRevision(bucket, key string, value []byte, expected uint64, ttl time.Duration) (uint64, error) {
	var n names
	defer n.free()
	var revision C.uint64_t
	var err *C.dirkv_error
	status := C.dirkv_put_if_revision(s.b, n.add(bucket), n.add(key), pointer(value), C.size_t(len(value)), C.uint64_t(expected),
		C.int64_t(ttl), &revision, &err)
	return uint64(revision), result(status, err)
}

// Get gets a value, or NotFound.
func (s *Store) Get(bucket, key string) ([]byte, error) {
	var n names
	defer n.free()
	var buf C.dirkv_buf
	var err *C.dirkv_error
	if e := result(C.dirkv_get_val(s.b, n.add(bucket), n.add(key), &buf, &err), err); e != nil {
		return nil, e
	}
	defer C.dirkv_buf_free(&buf)
	if buf.len == 0 {
		return []byte{}, nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(buf.data), int(buf.len))...), nil
}

// Touch gives the value that is there a new time to live.
func (s *Store) Touch(bucket, key string, ttl time.Duration) (uint64, error) {
	var n names
	defer n.free()
	var revision C.uint64_t
	var err *C.dirkv_error
	status := C.dirkv_touch(s.b, n.add(bucket), n.add(key), C.int64_t(ttl), &revision, &err)
	return uint64(revision), result(status, err)
}

// Delete deletes a value, or says NotFound.
func (s *Store) Delete(bucket, key string) error {
	var n names
	defer n.free()
	var err *C.dirkv_error
	return result(C.dirkv_delete_key(s.b, n.add(bucket), n.add(key), &err), err)
}

// DeleteBucket deletes a bucket of the bucket parent with everything under it.
func (s *Store) DeleteBucket(parent, bucket string) error {
	var n names
	defer n.free()
	var err *C.dirkv_error
	return result(C.dirkv_delete_bucket(s.b, n.add(parent), n.add(bucket), &err), err)
}

// Acquire takes a lock for ttl and gives its fence. A wait of 0 tries once, less than 0 waits for ever; then Timeout.
func (s *Store) Acquire(token string, ttl, wait time.Duration) (uint64, error) {
	var n names
	defer n.free()
	var fence C.uint64_t
	var err *C.dirkv_error
	status := C.dirkv_acquire_lock(s.b, n.add(token), C.int64_t(ttl), C.int64_t(wait), &fence, &err)
	return uint64(fence), result(status, err)
}

// Renew extends a lease, or says LockLost.
func (s *Store) Renew(token string, fence uint64, ttl time.Duration) error {
	var n names
	defer n.free()
	var err *C.dirkv_error
	return result(C.dirkv_renew_lock(s.b, n.add(token), C.uint64_t(fence), C.int64_t(ttl), &err), err)
}

// Release frees a lock.
func (s *Store) Release(token string, fence uint64) error {
	var n names
	defer n.free()
	var err *C.dirkv_error
	return result(C.dirkv_release_lock(s.b, n.add(token), C.uint64_t(fence), &err), err)
}

// Check verifies every byte on the disk; what is wrong comes back as Corrupt.
func (s *Store) Check() error {
	var err *C.dirkv_error
	return result(C.dirkv_check(s.b, &err), err)
}

// Entry is one entry of a list.
type Entry struct {
	Kind     uint32 // as in the header: Key, Bucket, Item, Lock
	Pid      uint32 // of a lock
	Name     string
	Value    []byte
	Expires  int64 // nanoseconds since 1970, 0 is never
	Revision uint64
}

// The kinds of entries.
const (
	Key    = C.DIRKV_ENTRY_KEY
	Bucket = C.DIRKV_ENTRY_BUCKET
	Item   = C.DIRKV_ENTRY_ITEM
	Held   = C.DIRKV_ENTRY_LOCK
)

// Keys lists the names in a bucket. Only those after `after` ("" is from the first), at most limit of them (0 is all).
func (s *Store) Keys(bucket, after string, limit uint64) ([]Entry, error) {
	var n names
	defer n.free()
	var list *C.dirkv_list
	var err *C.dirkv_error
	if e := result(C.dirkv_get_keys(s.b, n.add(bucket), n.after(after), C.uint64_t(limit), &list, &err), err); e != nil {
		return nil, e
	}
	return entries(list)
}

// Items lists a bucket's items as one consistent cut; recursive adds those of all sub-buckets.
func (s *Store) Items(bucket, after string, limit uint64, recursive bool) ([]Entry, error) {
	var n names
	defer n.free()
	var flags C.uint32_t
	if recursive {
		flags = C.DIRKV_RECURSIVE
	}
	var list *C.dirkv_list
	var err *C.dirkv_error
	if e := result(C.dirkv_get_items(s.b, n.add(bucket), n.after(after), C.uint64_t(limit), flags, &list, &err), err); e != nil {
		return nil, e
	}
	return entries(list)
}

// Locks lists the leases that are held.
func (s *Store) Locks() ([]Entry, error) {
	var list *C.dirkv_list
	var err *C.dirkv_error
	if e := result(C.dirkv_get_locks(s.b, &list, &err), err); e != nil {
		return nil, e
	}
	return entries(list)
}

func (n *names) after(name string) *C.char {
	if name == "" {
		return nil
	}
	return n.add(name)
}

// entries copies a list out of C in one call, as the packed block that the header describes, and decodes it in Go.
func entries(list *C.dirkv_list) ([]Entry, error) {
	defer C.dirkv_list_free(list)
	var data *C.uint8_t
	var size C.size_t
	var err *C.dirkv_error
	if e := result(C.dirkv_list_packed(list, &data, &size, &err), err); e != nil {
		return nil, e
	}
	block := append([]byte(nil), unsafe.Slice((*byte)(data), int(size))...)
	return unpack(block)
}

func unpack(block []byte) ([]Entry, error) {
	le := binary.LittleEndian
	if len(block) < 8 || le.Uint32(block) != 1 {
		return nil, errors.New("not a packed block of layout 1")
	}
	found := make([]Entry, 0, le.Uint32(block[4:]))
	for at := 8; at < len(block); {
		e := block[at:]
		if len(e) < 32 {
			return nil, fmt.Errorf("a packed block is cut at %d", at)
		}
		name, value := int(le.Uint32(e[8:])), int(le.Uint32(e[12:]))
		if len(e) < 32+name+1+value {
			return nil, fmt.Errorf("a packed block is cut at %d", at)
		}
		found = append(found, Entry{
			Kind: le.Uint32(e), Pid: le.Uint32(e[4:]), Expires: int64(le.Uint64(e[16:])), Revision: le.Uint64(e[24:]),
			Name: string(e[32 : 32+name]), Value: e[32+name+1 : 32+name+1+value],
		})
		at += (32 + name + 1 + value + 7) / 8 * 8
	}
	return found, nil
}

// Put is one item of a batch.
type Put struct {
	Key   string
	Value []byte
	TTL   time.Duration
}

// UpsertItems puts all items as one atomic batch. It goes to C as one packed block: C may not keep Go pointers in an array.
func (s *Store) UpsertItems(bucket string, items []Put) (uint64, error) {
	le := binary.LittleEndian
	block := le.AppendUint32(le.AppendUint32(nil, 1), uint32(len(items)))
	for _, item := range items {
		block = le.AppendUint32(block, C.DIRKV_ENTRY_PUT)
		block = le.AppendUint32(block, 0)
		block = le.AppendUint32(block, uint32(len(item.Key)))
		block = le.AppendUint32(block, uint32(len(item.Value)))
		block = le.AppendUint64(block, uint64(item.TTL))
		block = le.AppendUint64(block, 0)
		block = append(append(append(block, item.Key...), 0), item.Value...)
		block = append(block, make([]byte, -len(block)&7)...)
	}
	var n names
	defer n.free()
	var revision C.uint64_t
	var err *C.dirkv_error
	status := C.dirkv_upsert_packed(s.b, n.add(bucket), pointer(block), C.size_t(len(block)), &revision, &err)
	return uint64(revision), result(status, err)
}
