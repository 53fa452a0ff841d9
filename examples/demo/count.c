/* Two processes count one number up together by compare-and-swap. */

#include "demo.h"

enum { GOAL = 10000 };

typedef struct {
    int ready;
    struct {
        long counted, refused;
    } by[2];
    int next;
} table;

static void counter(const char *path, void *shared) {
    table *t = shared;
    const int me = __atomic_fetch_add(&t->next, 1, __ATOMIC_SEQ_CST);
    dirkv_backend *b = open_store(path);
    __atomic_add_fetch(&t->ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&t->ready, __ATOMIC_SEQ_CST) < 2) {
        sleep_ns(SECOND / 10000);
    }
    for (;;) {
        char old[32] = "", new[32];
        size_t old_len;
        uint64_t revision;
        ok(dirkv_get_val_into(b, "demo", "counter", old, sizeof old - 1, &old_len, &err), "read the counter");
        const long value = strtol(old, NULL, 10);
        if (value >= GOAL) {
            break;
        }
        const int len = snprintf(new, sizeof new, "%ld", value + 1);
        const dirkv_status status =
            dirkv_compare_and_swap_val(b, "demo", "counter", new, (size_t)len, old, old_len, 0, &revision, &err);
        if (status == DIRKV_COMPARE_FAILED) {
            refused(DIRKV_COMPARE_FAILED, status, "count");
            t->by[me].refused++;
        } else {
            ok(status, "count");
            t->by[me].counted++;
        }
    }
    close_store(b);
}

void count_together(const char *path) {
    char end[32] = "";
    size_t len;
    uint64_t revision;
    heading("A counter, counted up by two processes");
    dirkv_backend *b = open_store(path);
    ok(dirkv_upsert_val(b, "demo", "counter", "0", 1, 0, &revision, &err), "the counter");
    table *t = shared_memory(sizeof *t);
    const int64_t begin = monotonic();
    const pid_t one = child(counter, path, t), other = child(counter, path, t);
    wait_for(one, "the first counter");
    wait_for(other, "the second counter");
    const double seconds = (double)(monotonic() - begin) / 1e9;
    ok(dirkv_get_val_into(b, "demo", "counter", end, sizeof end - 1, &len, &err), "read the counter");
    close_store(b);
    if (strtol(end, NULL, 10) != GOAL || t->by[0].counted + t->by[1].counted != GOAL) {
        die("the counter stands at %s after %ld and %ld swaps", end, t->by[0].counted, t->by[1].counted);
    }
    printf("  it stands at %s: %ld swaps by one, %ld by the other (%ld came too late and were tried again)\n", end,
           t->by[0].counted, t->by[1].counted, t->by[0].refused + t->by[1].refused);
    printf("  %.1f s, %.0f durable swaps/s\n", seconds, GOAL / seconds);
}
