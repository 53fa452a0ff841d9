/* Leases through the ABI, and what dirkv_close does to those who wait. */

#include "check.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

static dirkv_backend *b;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void leases(void) {
    uint64_t one = 0, two = 0, three = 0;
    FAILS(DIRKV_NOT_FOUND, dirkv_release_lock(b, "t", 0, &err));
    OK(dirkv_acquire_lock(b, "t", 60 * SECOND, -1, &one, &err));
    CHECK(one > 0);
    SAYS(DIRKV_TIMEOUT, "t", dirkv_acquire_lock(b, "t", SECOND, 0, &two, &err));
    CHECK(two == 0);
    FAILS(DIRKV_TIMEOUT, dirkv_acquire_lock(b, "t", SECOND, SECOND / 20, &two, &err));
    SAYS(DIRKV_COMPARE_FAILED, "t", dirkv_release_lock(b, "t", one + 1, &err));
    OK(dirkv_renew_lock(b, "t", one, 30 * SECOND, &err));
    SAYS(DIRKV_LOCK_LOST, "t", dirkv_renew_lock(b, "t", one + 1, SECOND, &err));
    OK(dirkv_release_lock(b, "t", one, &err));
    SAYS(DIRKV_NOT_FOUND, "t", dirkv_release_lock(b, "t", one, &err));
    FAILS(DIRKV_LOCK_LOST, dirkv_renew_lock(b, "t", one, SECOND, &err));
    OK(dirkv_acquire_lock(b, "t", 60 * SECOND, 0, &two, &err));
    CHECK(two > one);
    OK(dirkv_release_lock(b, "t", 0, &err));
    /* Expiry frees. */
    OK(dirkv_acquire_lock(b, "t", SECOND / 50, 0, &two, &err));
    OK(dirkv_acquire_lock(b, "t", SECOND, 5 * SECOND, &three, &err));
    CHECK(three > two);
    FAILS(DIRKV_LOCK_LOST, dirkv_renew_lock(b, "t", two, SECOND, &err));
    FAILS(DIRKV_COMPARE_FAILED, dirkv_release_lock(b, "t", two, &err));
    OK(dirkv_release_lock(b, "t", three, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_acquire_lock(b, "t", 0, 0, &one, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_acquire_lock(b, "t", -SECOND, 0, &one, &err));
    SAYS(DIRKV_BAD_PARAMETER, "max_lock_ttl", dirkv_acquire_lock(b, "t", 61 * SECOND, 0, &one, &err));
    OK(dirkv_acquire_lock(b, "t", 60 * SECOND, 0, &one, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_renew_lock(b, "t", one, 61 * SECOND, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_renew_lock(b, "t", one, 0, &err));
    OK(dirkv_release_lock(b, "t", one, &err));
}

static void listed(void) {
    uint64_t one = 0, two = 0;
    int64_t now = 0;
    char host[256] = "";
    dirkv_list *list = NULL;
    dirkv_entry entry;
    OK(dirkv_get_locks(b, &list, &err));
    CHECK(dirkv_list_len(list) == 0);
    dirkv_list_free(list);
    OK(dirkv_acquire_lock(b, "l2", 60 * SECOND, 0, &two, &err));
    OK(dirkv_acquire_lock(b, "l1", 60 * SECOND, 0, &one, &err));
    OK(dirkv_get_locks(b, &list, &err));
    CHECK(dirkv_list_len(list) == 2);
    OK(dirkv_list_get(list, 0, &entry, sizeof entry, &err));
    OK(dirkv_clock_now(b, &now, &err));
    CHECK(gethostname(host, sizeof host - 1) == 0);
    CHECK(entry.kind == DIRKV_ENTRY_LOCK && strcmp(entry.name, "l1") == 0 && entry.revision == one);
    CHECK(entry.pid == (uint32_t)getpid() && entry.expires > now && entry.expires <= now + 60 * SECOND);
    CHECK(entry.len == strlen(host) && memcmp(entry.val, host, entry.len) == 0);
    OK(dirkv_list_get(list, 1, &entry, sizeof entry, &err));
    CHECK(strcmp(entry.name, "l2") == 0 && entry.revision == two);
    dirkv_list_free(list);
    OK(dirkv_release_lock(b, "l1", one, &err));
    OK(dirkv_release_lock(b, "l2", two, &err));
}

static dirkv_status waited;

static void *wait_for_ever(void *handle) {
    uint64_t fence = 0;
    waited = dirkv_acquire_lock(handle, "w", SECOND, -1, &fence, NULL);
    return NULL;
}

/* A release wakes who waits, at once; the lease would have held on for a minute. */
static void woken(void) {
    pthread_t thread;
    uint64_t fence = 0;
    double begin;
    OK(dirkv_acquire_lock(b, "w", 60 * SECOND, 0, &fence, &err));
    CHECK(pthread_create(&thread, NULL, wait_for_ever, b) == 0);
    usleep(100000);
    begin = seconds();
    OK(dirkv_release_lock(b, "w", fence, &err));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(waited == DIRKV_OK && seconds() - begin < 5);
    OK(dirkv_release_lock(b, "w", 0, &err));
}

/* dirkv_close answers who waits for a lease with CLOSED; the lease itself stays. */
static void closed(const char *path) {
    pthread_t threads[4];
    dirkv_backend *other = open_store(path);
    uint64_t fence = 0;
    double begin;
    int i;
    OK(dirkv_acquire_lock(b, "w", 60 * SECOND, 0, &fence, &err));
    for (i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, wait_for_ever, b) == 0);
    }
    usleep(100000);
    begin = seconds();
    OK(dirkv_close(b, &err));
    CHECK(seconds() - begin < 5);
    for (i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(waited == DIRKV_CLOSED);
    }
    FAILS(DIRKV_TIMEOUT, dirkv_acquire_lock(other, "w", SECOND, 0, &fence, &err));
    OK(dirkv_close(other, &err));
}

static void *write_until_closed(void *handle) {
    uint64_t revision;
    dirkv_status status;
    do {
        status = dirkv_upsert_val(handle, "c", "k", "v", 1, 0, &revision, NULL);
    } while (status == DIRKV_OK);
    return status == DIRKV_CLOSED ? handle : NULL;
}

/* dirkv_close while others write, and close it too: each gets an answer, exactly one close succeeds. */
static void closed_while_busy(const char *path) {
    int round, i;
    for (round = 0; round < 5; round++) {
        pthread_t threads[4];
        dirkv_backend *handle = open_store(path);
        for (i = 0; i < 4; i++) {
            CHECK(pthread_create(&threads[i], NULL, write_until_closed, handle) == 0);
        }
        usleep(20000);
        OK(dirkv_close(handle, &err));
        FAILS(DIRKV_CLOSED, dirkv_close(handle, &err));
        for (i = 0; i < 4; i++) {
            void *result = NULL;
            CHECK(pthread_join(threads[i], &result) == 0);
            CHECK(result == handle);
        }
    }
}

int main(int argc, char **argv) {
    const char *path = below(argv[1], "store");
    (void)argc;
    b = open_store(path);
    leases();
    listed();
    woken();
    closed(path);
    closed_while_busy(below(argv[1], "busy"));
    return finished();
}
