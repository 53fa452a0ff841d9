/*
 * dirkv.h - named values in a plain directory, shared by many processes without a server
 *
 *     dirkv_backend *b;
 *     dirkv_error *err;
 *     uint64_t revision;
 *     if (dirkv_open_path("/var/lib/example", &b, &err) != DIRKV_OK ||
 *         dirkv_upsert_val(b, "users", "ann", "hello", 5, 0, &revision, &err) != DIRKV_OK) {
 *         fprintf(stderr, "%s\n", dirkv_error_message(err));
 *         dirkv_error_free(err);
 *     }
 *
 * Link with `pkg-config --cflags --libs dirkv`. C99 and later, C++17 and later. Generated from src/ffi by `make header`:
 * don't edit.
 *
 *
 * WHAT HOLDS FOR EVERY CALL
 *
 * It is told here once; each call tells only what is its own. Parameters come in this order: handle, inputs, outputs, err.
 *
 * Status and error. A call that can fail returns a dirkv_status, DIRKV_OK being 0. Its last parameter, `err`, may be NULL;
 * if not, *err is set to NULL on success, and on failure to an object with the status, a sentence that names the bucket,
 * key, file or parameter and the rule, and the system's errno. Free it with dirkv_error_free. No error travels through
 * thread-local or global state. Beside the statuses that a call names, any call on a handle may return
 * DIRKV_BAD_PARAMETER, DIRKV_CLOSED, DIRKV_FORKED, DIRKV_IO, DIRKV_CORRUPT or DIRKV_INTERNAL, and a change also
 * DIRKV_TIMEOUT (another process kept the store for `lock_timeout`), DIRKV_NO_SPACE, DIRKV_READ_ONLY, DIRKV_LIMIT_EXCEEDED or
 * DIRKV_UNCERTAIN. But for DIRKV_UNCERTAIN and DIRKV_INTERNAL, after which it may have happened, a change that returns an
 * error did not happen, and will not show later. The library prints nothing and never ends the process on its own, except
 * when memory runs out.
 *
 * Inputs are read or copied during the call and never kept. Names are NUL-terminated UTF-8. Bytes are a pointer and a
 * length; (NULL, 0) is the empty value.
 *
 * Outputs are set to NULL, 0 or empty before anything else is done and written on success, with one exception: the length
 * that DIRKV_BUFFER_TOO_SMALL tells. An output may not be NULL.
 *
 * Ownership. What a call returns is the caller's and has one function that frees it: dirkv_buf_free, dirkv_list_free,
 * dirkv_error_free, dirkv_params_free, dirkv_close. Freeing NULL, or an emptied buffer again, does nothing. What is
 * borrowed (an error's message, a view of a list's entry) says so and lives as long as what it is borrowed from.
 *
 * NULL where it isn't allowed, a handle that is closed or never was one, and lengths that can't be are answered with an
 * error. What you promise in return, for C can't check it: other pointers lead to what their type says, as long as the call
 * lasts; an error, list, buffer or set of parameters comes from dirkv and has not been freed.
 *
 * Threads. Any number of threads may use one dirkv_backend at once, and close it. Everything else (parameters, buffers,
 * lists, errors) belongs to one thread at a time; a list may be read by many. A handle is no address but a number that is
 * checked: used after dirkv_close it is answered with DIRKV_CLOSED.
 *
 * Blocking. Reads don't take the store's lock and wait for no other process; they may read from the disk. (A read_only handle that was alone with
 * the store opens it anew, as dirkv_open does, once a writer has come.) Changes, in a store with `sync=full`, return when they are durable, and may wait `lock_timeout` for other processes. Every change is atomic and
 * linearizable across threads and processes: once its call has returned, every later read anywhere sees it.
 *
 * Callbacks (clock, logger) are called only by threads that made a call, while they are in it. A callback must not call dirkv
 * (on a handle, or to open one, that is DIRKV_BAD_PARAMETER), throw, end its thread, or longjmp.
 *
 * fork(). A child must not use its parent's handles: such a call is DIRKV_FORKED and harms nobody. It may open its own.
 * The library stays mapped once loaded (dlclose does not unload it): it has threads and fork handlers.
 *
 *
 * NAMES, LIMITS, NUMBERS
 *
 * A bucket's path is its components joined by "/": "a/b", at most 32 of them; "" is the root. A component, a lock's token: 1
 * to 255 bytes; a key: 1 to 1024 bytes; all of UTF-8 without control characters and without "/", not "." or "..". A
 * bucket in the root does not start with ".". Names are case-sensitive bytes; they sort bytewise by component. A key and a
 * bucket of one name may stand side by side. A bucket is there as soon, and as long, as an unexpired item is under it.
 *
 * A value: at most 64 MiB. A batch: 1 to 1,000,000 items, at most 256 MiB (keys and values, and 18 bytes an item), and as
 * much of keys if each is counted with its bucket's path. A listing: at most 1 GiB (names and values, and 64 bytes an
 * entry). Past a limit: DIRKV_LIMIT_EXCEEDED, nothing done.
 *
 * A revision is the number of a change: greater than that of any earlier change of the store, below 2^63. A batch has one for
 * all of its items.
 *
 * Times are nanoseconds in int64_t: instants since 1970-01-01 UTC, and lengths. A time to live (ttl) of 0 is for ever, a
 * negative one DIRKV_BAD_PARAMETER; an expiry past the end of time is the end of time. An item is gone for every reader at
 * the instant of its expiry by the clock of the reader's handle.
 *
 *
 * PACKED BLOCKS
 *
 * A whole list, or a whole batch, as one piece of memory, so that a binding decodes a thousand entries after one call
 * instead of making a thousand calls. Frozen. Numbers are little-endian; offsets are in bytes.
 *
 *     block:   0  u32  layout: 1
 *              4  u32  number of entries
 *              8       the entries, one after the other
 *
 *     entry:   0  u32  kind: DIRKV_ENTRY_...
 *              4  u32  pid: of a lock, else 0
 *              8  u32  name_len
 *             12  u32  val_len
 *             16  i64  time: the instant of expiry, 0 is never; of a DIRKV_ENTRY_PUT the ttl
 *             24  u64  revision; of a lock its fence; of a DIRKV_ENTRY_PUT not looked at
 *             32       the name (name_len bytes), one NUL, the value (val_len bytes; of a lock the holder's host), then 0 to 7
 *                      NULs up to the next multiple of 8 of the block, where the next entry begins or the block ends
 *
 *
 * THE CALLS
 *
 *     the library     dirkv_name, dirkv_version, dirkv_abi_version, dirkv_status_name
 *     errors          dirkv_error_code, _message, _os_errno, _free
 *     open and close  dirkv_params_new, _set, _set_clock, _free; dirkv_open, dirkv_open_path, dirkv_close,
 *                     dirkv_clock_now, dirkv_set_logger
 *     read            dirkv_exists, dirkv_get_val, dirkv_get_val_into, dirkv_get_item; dirkv_buf_free
 *     change          dirkv_create_val, dirkv_upsert_val, dirkv_compare_and_swap_val, dirkv_put_if_revision, dirkv_touch,
 *                     dirkv_delete_key, dirkv_delete_if_revision, dirkv_delete_bucket
 *     batches         dirkv_upsert_items, dirkv_upsert_packed
 *     lists           dirkv_get_keys, dirkv_get_items, dirkv_get_locks; dirkv_list_len, _get, _packed, _free
 *     locks           dirkv_acquire_lock, dirkv_renew_lock, dirkv_release_lock
 *     upkeep          dirkv_sync, dirkv_compact, dirkv_check, dirkv_stats
 */

#ifndef DIRKV_H
#define DIRKV_H

#include <stddef.h>
#include <stdint.h>

/**
 * The ABI that this header describes. It grows by one whenever something is added; what is there stays as it is
 * under one SONAME. A program compiled with this header may use a library whose dirkv_abi_version() is at least this.
 */
#define DIRKV_ABI_VERSION 1

/**
 * Something is lost or broken.
 */
#define DIRKV_LOG_ERROR 1

/**
 * Something was odd, and was dealt with.
 */
#define DIRKV_LOG_WARN 2

/**
 * A milestone: opened, recovered, compacted.
 */
#define DIRKV_LOG_INFO 3

/**
 * Details for who hunts a bug.
 */
#define DIRKV_LOG_DEBUG 4

/**
 * An entry of a batch's packed block: name, value, `time` is a TTL.
 */
#define DIRKV_ENTRY_PUT 0

/**
 * A key's name.
 */
#define DIRKV_ENTRY_KEY 1

/**
 * A sub-bucket's name.
 */
#define DIRKV_ENTRY_BUCKET 2

/**
 * An item: name, value, expiry, revision.
 */
#define DIRKV_ENTRY_ITEM 3

/**
 * A lease: token, fence (in `revision`), expiry, the holder's pid, and its host (in the value).
 */
#define DIRKV_ENTRY_LOCK 4

/**
 * A flag of dirkv_get_items: the items of all sub-buckets too.
 */
#define DIRKV_RECURSIVE 1

/**
 * An open store: a number in a pointer's clothes, checked by every call. Any number of threads may use it at once.
 */
typedef struct dirkv_backend dirkv_backend;

/**
 * Why a call failed: its status, one sentence, and the system's error number. Free it with dirkv_error_free.
 */
typedef struct dirkv_error dirkv_error;

/**
 * The result of a listing. It never changes; free it with dirkv_list_free.
 */
typedef struct dirkv_list dirkv_list;

/**
 * How a store is opened: parameters by name, as text. Free it with dirkv_params_free.
 */
typedef struct dirkv_params dirkv_params;

/**
 * What a call returns: DIRKV_OK (0), or why it failed. Numbers never change their meaning; new ones may come.
 */
typedef int32_t dirkv_status;

/**
 * A clock in place of the system's: nanoseconds since 1970-01-01 UTC. Called by any thread that makes a call, several at
 * once.
 */
typedef int64_t (*dirkv_clock_fn)(void *ctx);

/**
 * Receives a log record: a level (DIRKV_LOG_...) and one line in UTF-8 without a line end, valid during the call. Called by
 * any thread that makes a call, several at once.
 */
typedef void (*dirkv_log_fn)(void *ctx, int32_t level, const char *message);

/**
 * Bytes that the library allocated, for dirkv_buf_free. Empty is (NULL, 0). Hand it back as it was received.
 */
typedef struct {
    /**
     * The bytes, not NUL-terminated; NULL if there are none.
     */
    uint8_t *data;
    /**
     * How many.
     */
    size_t len;
} dirkv_buf;

/**
 * One item of a batch. It may grow at its end: fill it with zeros first, and pass its size.
 */
typedef struct {
    /**
     * The key.
     */
    const char *key;
    /**
     * The value; NULL if `len` is 0.
     */
    const void *val;
    /**
     * The value's length, at most 64 MiB.
     */
    size_t len;
    /**
     * Its time to live; 0: for ever.
     */
    int64_t ttl;
} dirkv_item;

/**
 * A view of one entry of a list; its pointers lead into the list and live as long. It may grow at its end.
 */
typedef struct {
    /**
     * DIRKV_ENTRY_...; what it is tells which of the other fields are used, the rest is zero.
     */
    uint32_t kind;
    /**
     * Of a lock: the process that acquired it.
     */
    uint32_t pid;
    /**
     * The instant of expiry; 0: never.
     */
    int64_t expires;
    /**
     * The item's revision, or the lock's fence.
     */
    uint64_t revision;
    /**
     * The key, sub-bucket or token; of a recursive listing the path relative to the bucket listed. NUL-terminated.
     */
    const char *name;
    /**
     * The length of the name, without its NUL.
     */
    size_t name_len;
    /**
     * The value, not NUL-terminated; of a lock the host of its holder.
     */
    const uint8_t *val;
    /**
     * The value's length.
     */
    size_t len;
} dirkv_entry;

/**
 * It worked.
 */
#define DIRKV_OK 0

/**
 * The key, bucket or lock isn't there.
 */
#define DIRKV_NOT_FOUND 1

/**
 * An unexpired value is there already.
 */
#define DIRKV_ALREADY_EXISTS 2

/**
 * The value, revision or fence that is there isn't the one given.
 */
#define DIRKV_COMPARE_FAILED 3

/**
 * An argument breaks a rule; the message names both.
 */
#define DIRKV_BAD_PARAMETER 4

/**
 * The time limit passed, and nothing was done. Trying again may work.
 */
#define DIRKV_TIMEOUT 5

/**
 * The lease expired, or another holds it.
 */
#define DIRKV_LOCK_LOST 6

/**
 * The filesystem is full; nothing was written. Works again, without reopening, once there is room.
 */
#define DIRKV_NO_SPACE 7

/**
 * The handle, the directory or the filesystem is read-only.
 */
#define DIRKV_READ_ONLY 8

/**
 * The system reported an error (see dirkv_error_os_errno). A change that got this did not happen and will not show.
 */
#define DIRKV_IO 9

/**
 * Bytes on disk are not those that were written; the message names file and offset.
 */
#define DIRKV_CORRUPT 10

/**
 * This filesystem, format version or mode isn't supported; the message says which one was found.
 */
#define DIRKV_UNSUPPORTED 11

/**
 * A value, batch or listing is larger than its limit; nothing was written.
 */
#define DIRKV_LIMIT_EXCEEDED 12

/**
 * The caller's memory is too small; the length output tells what is needed.
 */
#define DIRKV_BUFFER_TOO_SMALL 13

/**
 * The handle is closed, or was while the call waited.
 */
#define DIRKV_CLOSED 14

/**
 * The handle was opened by another process, of which this one is a fork.
 */
#define DIRKV_FORKED 15

/**
 * What was asked for has been compacted away. Reserved: no call returns it yet.
 */
#define DIRKV_COMPACTED 16

/**
 * The change may or may not have happened: a disk write failed, and recovering from that failed too; or the thread that wrote
 * it for others met a bug.
 */
#define DIRKV_UNCERTAIN 17

/**
 * A bug in dirkv; the message tells where. The store on disk is as safe as after a crash.
 */
#define DIRKV_INTERNAL 18

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a status as text, without the prefix: "OK", "NOT_FOUND". Of a number that is none: "UNKNOWN".
 * The text is static.
 */
const char *dirkv_status_name(dirkv_status status);

/**
 * The name of this kind of backend: "dir". The text is static.
 */
const char *dirkv_name(void);

/**
 * The version of the library as text: "0.1.0". The text is static.
 */
const char *dirkv_version(void);

/**
 * The ABI of the library that is loaded; see DIRKV_ABI_VERSION.
 */
uint32_t dirkv_abi_version(void);

/**
 * The status that the failed call returned; DIRKV_OK of NULL.
 */
dirkv_status dirkv_error_code(const dirkv_error *error);

/**
 * One sentence in English that names the bucket, key, file or parameter concerned, and the rule; "" of NULL.
 * It belongs to the error and lives as long.
 */
const char *dirkv_error_message(const dirkv_error *error);

/**
 * The system's `errno` behind the failure, or 0 if there was none.
 */
int32_t dirkv_error_os_errno(const dirkv_error *error);

/**
 * Frees an error and its message. NULL: does nothing.
 */
void dirkv_error_free(dirkv_error *error);

/**
 * A new set of parameters, all at their defaults, no path. Free it with dirkv_params_free.
 */
dirkv_params *dirkv_params_new(void);

/**
 * Sets one parameter. The last value given counts; an unknown name or a bad value is DIRKV_BAD_PARAMETER, at once.
 *
 * name          value (range)                     default  meaning
 * ------------  --------------------------------  -------  ------------------------------------------------------------
 * path          a directory                       -        where the store is
 * data_dir      a directory                       -        the same, used when `path` is not given
 * sync          full, os                          full     of a new store, and kept in it. full: durable before a call
 *                                                          returns; os: left to the kernel, survives the process, not
 *                                                          the power. Of a store that is there: if given, it must be
 *                                                          the store's, else the open is refused
 * lock_timeout  a duration (0 to 24h)             10s      how long a change waits for another process's
 * background    on, off                           on       compact on a thread of the library's own
 * read_only     true, false                       false    change nothing; the store must exist
 * dir_mode      octal (0700, at most 0777)        0700     of directories created, whatever the umask
 * file_mode     octal (0600, at most 0666)        0600     of files created, whatever the umask
 * segment_size  a size (64KiB to 1GiB)            4MiB     of a file of the log
 * memory_limit  a size (1MiB to 64GiB)            32MiB    what the handle's caches of tables may take
 * max_lock_ttl  a duration (1ms to 8760h)         60s      the longest lease that may be asked for
 *
 * A duration is an integer and ns, us, ms, s, m or h ("250ms"); a size an integer and B, KiB, MiB or GiB ("8MiB").
 */
dirkv_status dirkv_params_set(dirkv_params *params, const char *name, const char *value, dirkv_error **err);

/**
 * Replaces the system's clock, by which values and leases expire; tests move time this way.
 *
 * `clock`  tells the time; must not call dirkv, throw or jump
 * `ctx`    given to `clock`; must live until every handle opened with these parameters is closed
 */
dirkv_status dirkv_params_set_clock(dirkv_params *params, dirkv_clock_fn clock, void *ctx, dirkv_error **err);

/**
 * Frees the parameters. NULL: does nothing. Handles opened with them stay open.
 */
void dirkv_params_free(dirkv_params *params);

/**
 * Opens the store in the directory that the parameter `path` names, creating both if absent (unless `read_only` is on).
 * As many processes as like may have it open, and one process several times.
 *
 * `params`  read, not kept: it may be freed or used again at once
 * `out`     the handle, for dirkv_close
 *
 * Recovers the store if nobody else has it open. Blocks on the disk. DIRKV_BAD_PARAMETER: no path, a path that is
 * no directory; DIRKV_UNSUPPORTED: a filesystem on which processes can't share a store, a newer format, or another
 * `sync` mode than the store's; DIRKV_CORRUPT: bytes that had been durable are damaged; DIRKV_READ_ONLY: the
 * filesystem is read-only and `read_only` is not on; DIRKV_NO_SPACE: no room to create or to recover it;
 * DIRKV_NOT_FOUND: `read_only` is on and no store is there; DIRKV_TIMEOUT: another process kept the store for
 * `lock_timeout`; DIRKV_LIMIT_EXCEEDED: 65,536 handles are open in this process (1,024 where pointers have 32
 * bits); DIRKV_IO with EACCES: no permission.
 */
dirkv_status dirkv_open(const dirkv_params *params, dirkv_backend **out, dirkv_error **err);

/**
 * dirkv_open with the path and every other parameter at its default. The path is the system's: any bytes but NUL.
 */
dirkv_status dirkv_open_path(const char *path, dirkv_backend **out, dirkv_error **err);

/**
 * Closes the handle and frees it: who waits for a lease through it gets DIRKV_CLOSED, other calls in progress are waited
 * for (a change at most for `lock_timeout`, a dirkv_compact until it is done, the handle's own thread until it has given
 * up what it does), later ones (a second dirkv_close too) get DIRKV_CLOSED. Leases held stay until they are released or
 * expire. After it, neither the clock nor the logger of this handle is called any more. In a child of the process that
 * opened it: DIRKV_FORKED, and nothing is closed.
 */
dirkv_status dirkv_close(dirkv_backend *b,
                         dirkv_error **err);

/**
 * The time of the handle's clock.
 *
 * `now`  nanoseconds since 1970-01-01 UTC
 */
dirkv_status dirkv_clock_now(dirkv_backend *b, int64_t *now, dirkv_error **err);

/**
 * Sets where the handle's few log records go; without a logger they go nowhere. Records of the background thread, and of
 * the open before a logger was set, wait and are delivered inside a later call.
 *
 * `logger`  receives them; NULL for none; must not call dirkv, throw or jump
 * `ctx`     given to `logger`; must live until the handle is closed, or another logger was set and the calls that were in
 *           progress then have ended
 * `level`   the least important that is wanted: DIRKV_LOG_WARN for errors and warnings; ignored without a logger
 */
dirkv_status dirkv_set_logger(dirkv_backend *b,
                              dirkv_log_fn logger,
                              void *ctx,
                              int32_t level,
                              dirkv_error **err);

/**
 * Frees the bytes and empties the buffer. NULL, or an empty buffer: does nothing.
 */
void dirkv_buf_free(dirkv_buf *buf);

/**
 * Tells whether an unexpired value is there, without copying it.
 *
 * `exists`  1 or 0
 */
dirkv_status dirkv_exists(dirkv_backend *b, const char *bucket, const char *key, int32_t *exists, dirkv_error **err);

/**
 * Gets a value. DIRKV_NOT_FOUND if none is there; DIRKV_BAD_PARAMETER if the name is only a bucket's.
 *
 * `val`  the value, for dirkv_buf_free
 */
dirkv_status dirkv_get_val(dirkv_backend *b, const char *bucket, const char *key, dirkv_buf *val, dirkv_error **err);

/**
 * dirkv_get_val into the caller's memory, without an allocation.
 *
 * `dst`, `cap`  the memory and its size; (NULL, 0) asks for the length
 * `len`         the value's length; with DIRKV_BUFFER_TOO_SMALL too, when nothing was copied
 */
dirkv_status dirkv_get_val_into(dirkv_backend *b,
                                const char *bucket,
                                const char *key,
                                void *dst,
                                size_t cap,
                                size_t *len,
                                dirkv_error **err);

/**
 * Gets a value with all that is known about it. DIRKV_NOT_FOUND if none is there.
 *
 * `val`       the value, for dirkv_buf_free
 * `expires`   the instant at which it expires; 0: never
 * `revision`  the revision of the change that made it what it is
 */
dirkv_status dirkv_get_item(dirkv_backend *b,
                            const char *bucket,
                            const char *key,
                            dirkv_buf *val,
                            int64_t *expires,
                            uint64_t *revision,
                            dirkv_error **err);

/**
 * Puts a value if no unexpired one is there, else DIRKV_ALREADY_EXISTS.
 *
 * `val`, `len`  the value; at most 64 MiB
 * `ttl`         its time to live; 0: for ever
 * `revision`    of this change
 */
dirkv_status dirkv_create_val(dirkv_backend *b,
                              const char *bucket,
                              const char *key,
                              const void *val,
                              size_t len,
                              int64_t ttl,
                              uint64_t *revision,
                              dirkv_error **err);

/**
 * Puts a value, whatever was there; the new TTL replaces the old.
 *
 * Parameters as of dirkv_create_val.
 */
dirkv_status dirkv_upsert_val(dirkv_backend *b,
                              const char *bucket,
                              const char *key,
                              const void *val,
                              size_t len,
                              int64_t ttl,
                              uint64_t *revision,
                              dirkv_error **err);

/**
 * Puts a value if the unexpired one that is there equals `prev` byte for byte, else DIRKV_COMPARE_FAILED. A value that is
 * missing or expired equals nothing, not even an empty `prev`.
 *
 * `prev`, `prev_len`  what must be there
 * The others as of dirkv_create_val.
 */
dirkv_status dirkv_compare_and_swap_val(dirkv_backend *b,
                                        const char *bucket,
                                        const char *key,
                                        const void *val,
                                        size_t len,
                                        const void *prev,
                                        size_t prev_len,
                                        int64_t ttl,
                                        uint64_t *revision,
                                        dirkv_error **err);

/**
 * Puts a value if the unexpired one that is there has the revision `expected`, else DIRKV_COMPARE_FAILED.
 *
 * `expected`  a revision, or 0: none must be there
 * The others as of dirkv_create_val.
 */
dirkv_status dirkv_put_if_revision(dirkv_backend *b,
                                   const char *bucket,
                                   const char *key,
                                   const void *val,
                                   size_t len,
                                   uint64_t expected,
                                   int64_t ttl,
                                   uint64_t *revision,
                                   dirkv_error **err);

/**
 * Deletes a value if it has the revision `expected`, else DIRKV_COMPARE_FAILED; DIRKV_NOT_FOUND if none is there.
 */
dirkv_status dirkv_delete_if_revision(dirkv_backend *b,
                                      const char *bucket,
                                      const char *key,
                                      uint64_t expected,
                                      dirkv_error **err);

/**
 * Gives the value that is there a new time to live, counted from now; DIRKV_NOT_FOUND if none is there.
 *
 * `ttl`       0: for ever
 * `revision`  of this change, from now on the item's
 */
dirkv_status dirkv_touch(dirkv_backend *b,
                         const char *bucket,
                         const char *key,
                         int64_t ttl,
                         uint64_t *revision,
                         dirkv_error **err);

/**
 * Deletes a value; DIRKV_NOT_FOUND if none is there or it has expired.
 */
dirkv_status dirkv_delete_key(dirkv_backend *b, const char *bucket, const char *key, dirkv_error **err);

/**
 * Deletes the bucket `bucket` of the bucket `parent` with everything under it, atomically and whatever its size;
 * DIRKV_NOT_FOUND if there is none. A key of the same name stays.
 *
 * `parent`  a bucket's path; "" is the root
 * `bucket`  one component
 */
dirkv_status dirkv_delete_bucket(dirkv_backend *b, const char *parent, const char *bucket, dirkv_error **err);

/**
 * Puts all items of an array as one atomic, durable batch: a reader, or a crash, sees all of them or none. Of two items of
 * one key the later wins. 1 to 1,000,000 items, 256 MiB in all.
 *
 * `items`, `n`  the items
 * `item_size`   sizeof(dirkv_item)
 * `revision`    of the batch, and so of each of its items
 */
dirkv_status dirkv_upsert_items(dirkv_backend *b,
                                const char *bucket,
                                const dirkv_item *items,
                                size_t n,
                                size_t item_size,
                                uint64_t *revision,
                                dirkv_error **err);

/**
 * dirkv_upsert_items from a packed block (see PACKED BLOCKS above) of entries of the kind DIRKV_ENTRY_PUT, whose `time`
 * is a TTL. Entries of the kind DIRKV_ENTRY_ITEM, as dirkv_get_items makes them (not of a recursive listing, whose names are
 * paths), are put with the time that they have left to live. The block may lie at any address.
 *
 * `block`, `len`  the block
 * `revision`      of the batch, and so of each of its items
 */
dirkv_status dirkv_upsert_packed(dirkv_backend *b,
                                 const char *bucket,
                                 const void *block,
                                 size_t len,
                                 uint64_t *revision,
                                 dirkv_error **err);

/**
 * Lists the names of the unexpired keys of a bucket and of its direct sub-buckets that hold any, each once, as entries of
 * the kinds DIRKV_ENTRY_KEY and DIRKV_ENTRY_BUCKET. A key comes before the bucket of its name. A bucket that isn't there
 * gives an empty list.
 *
 * `after`  NULL: from the first name; else only names after this one, whether or not it is there: neither the key nor the
 *          bucket of that name. So the last name of a page is the `after` of the next, and nothing is skipped or repeated
 * `limit`  how many entries; 0: all. A key and the bucket of its name are never parted: a page that would end between
 *          the two holds one entry more, `limit` + 1
 * `list`   the names, sorted bytewise, for dirkv_list_free
 */
dirkv_status dirkv_get_keys(dirkv_backend *b,
                            const char *bucket,
                            const char *after,
                            uint64_t limit,
                            dirkv_list **list,
                            dirkv_error **err);

/**
 * Lists the unexpired items of a bucket, as entries of the kind DIRKV_ENTRY_ITEM, in one consistent cut. 1 GiB at most:
 * for more, go on with the last name as `after`, each part being a cut of its own.
 *
 * `after`  NULL: from the first item; else only items after this one, whether or not it is there. In a recursive listing
 *          a relative path as the list holds them
 * `limit`  at most so many entries; 0: all
 * `flags`  0, or DIRKV_RECURSIVE: the items of all sub-buckets too, under their relative paths ("sub/key")
 * `list`   the items, sorted by component, bytewise, for dirkv_list_free
 */
dirkv_status dirkv_get_items(dirkv_backend *b,
                             const char *bucket,
                             const char *after,
                             uint64_t limit,
                             uint32_t flags,
                             dirkv_list **list,
                             dirkv_error **err);

/**
 * The number of entries; 0 of NULL.
 */
size_t dirkv_list_len(const dirkv_list *list);

/**
 * Fills a view of one entry.
 *
 * `index`       from 0; past the end is DIRKV_BAD_PARAMETER
 * `entry`       the view
 * `entry_size`  sizeof(dirkv_entry)
 */
dirkv_status dirkv_list_get(const dirkv_list *list,
                            size_t index,
                            dirkv_entry *entry,
                            size_t entry_size,
                            dirkv_error **err);

/**
 * The whole list as one packed block (see PACKED BLOCKS above). It belongs to the list and lives as long.
 *
 * `data`, `len`  the block
 */
dirkv_status dirkv_list_packed(const dirkv_list *list, const uint8_t **data, size_t *len, dirkv_error **err);

/**
 * Frees a list, and with it what views of it point to. NULL: does nothing.
 */
void dirkv_list_free(dirkv_list *list);

/**
 * Takes the lease of that name: no other process or thread gets it until it is released or expires. Waiters are woken at
 * once by a release in any process; they stand in no queue, so that who must be able to give up may wait in slices.
 *
 * `token`  the lock's name
 * `ttl`    the lease's length; more than 0, at most the parameter `max_lock_ttl`
 * `wait`   < 0: for as long as it takes; 0: tries once; > 0: at most so long. Then DIRKV_TIMEOUT
 * `fence`  a number greater than that of any earlier holder, to be shown to whatever the lock protects
 *
 * Blocks while it waits; dirkv_close ends the wait with DIRKV_CLOSED.
 */
dirkv_status dirkv_acquire_lock(dirkv_backend *b,
                                const char *token,
                                int64_t ttl,
                                int64_t wait,
                                uint64_t *fence,
                                dirkv_error **err);

/**
 * Frees a lock before its lease ends, and wakes who waits for it. DIRKV_NOT_FOUND if nobody holds it.
 *
 * `fence`  the holder's; if another holds it, DIRKV_COMPARE_FAILED. 0 frees it whoever holds it
 */
dirkv_status dirkv_release_lock(dirkv_backend *b, const char *token, uint64_t fence, dirkv_error **err);

/**
 * Extends a lease: it ends `ttl` from now. DIRKV_LOCK_LOST if it has expired or another holds it. The fence stays.
 *
 * `fence`  the holder's
 * `ttl`    as of dirkv_acquire_lock
 */
dirkv_status dirkv_renew_lock(dirkv_backend *b, const char *token, uint64_t fence, int64_t ttl, dirkv_error **err);

/**
 * Lists the leases that are held, as entries of the kind DIRKV_ENTRY_LOCK, sorted by token: who holds what. Pid and host
 * are the holder's as recorded at acquire.
 *
 * `list`  the leases, for dirkv_list_free
 */
dirkv_status dirkv_get_locks(dirkv_backend *b,
                             dirkv_list **list,
                             dirkv_error **err);

/**
 * Makes everything written before durable, by any process; only in a store with `sync=os` is there anything to do.
 * Blocks on the disk. There it takes its turn as a change does and may return what a change may; DIRKV_READ_ONLY
 * with `read_only`, if something isn't durable yet.
 */
dirkv_status dirkv_sync(dirkv_backend *b, dirkv_error **err);

/**
 * Compacts now: drops what is deleted, overwritten or expired from the disk, but for up to an eighth of a file that
 * stays for the large values in it. Readers and writers go on meanwhile; blocks its caller on the disk. May return
 * what a change may; DIRKV_READ_ONLY with `read_only`.
 */
dirkv_status dirkv_compact(dirkv_backend *b, dirkv_error **err);

/**
 * Verifies every byte that the store rests on against its checksums and order. If something is wrong: DIRKV_CORRUPT, and the error's
 * message says what, one line for each finding. Changes nothing. Reads the whole store; others go on meanwhile.
 */
dirkv_status dirkv_check(dirkv_backend *b,
                         dirkv_error **err);

/**
 * Gives the handle's and the store's counters as one JSON object, for people and monitoring; new names may come, none goes.
 *
 * `json`  the text in UTF-8, not NUL-terminated, for dirkv_buf_free
 */
dirkv_status dirkv_stats(dirkv_backend *b,
                         dirkv_buf *json,
                         dirkv_error **err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DIRKV_H */
