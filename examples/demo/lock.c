/* Two processes pass a lock to each other; what is measured is the time from the release in one process to the return of
 * acquire in the other. */

#include "demo.h"

enum { ROUNDS = 200 };

typedef struct {
    int players;
    int waiting[2]; /* whether this player is in acquire, or about to be */
    int inside;     /* how many hold the lock: never more than one */
    /* The rest belongs to whoever holds the lock. */
    int64_t released; /* when release was called */
    int64_t handed[ROUNDS];
    int rounds;
    uint64_t fence;
} table;

static int flag(int *place) {
    return __atomic_load_n(place, __ATOMIC_SEQ_CST);
}

static void set(int *place, int value) {
    __atomic_store_n(place, value, __ATOMIC_SEQ_CST);
}

/* One holds the lock until the other waits for it, gives it back, and then waits for it itself. */
static void player(const char *path, void *shared) {
    table *t = shared;
    const int me = __atomic_fetch_add(&t->players, 1, __ATOMIC_SEQ_CST);
    dirkv_backend *b = open_store(path);
    for (;;) {
        uint64_t fence;
        set(&t->waiting[me], 1);
        ok(dirkv_acquire_lock(b, "ball", 30 * SECOND, 30 * SECOND, &fence, &err), "acquire");
        const int64_t now = monotonic();
        set(&t->waiting[me], 0);
        if (__atomic_add_fetch(&t->inside, 1, __ATOMIC_SEQ_CST) != 1) {
            die("two processes hold one lock");
        }
        if (fence <= t->fence) {
            die("fence %" PRIu64 " follows fence %" PRIu64, fence, t->fence);
        }
        t->fence = fence;
        if (t->released != 0 && t->rounds < ROUNDS) {
            t->handed[t->rounds++] = now - t->released;
        }
        const int last = t->rounds == ROUNDS;
        /* The other must be asleep in its call, else nothing is handed over; but who plays the last ball plays it alone. */
        for (int64_t begin = monotonic(); !last && !flag(&t->waiting[1 - me]);) {
            if (monotonic() - begin > 30 * SECOND) {
                die("the other process never came");
            }
            sleep_ns(SECOND / 10000);
        }
        sleep_ns(SECOND / 500);
        __atomic_sub_fetch(&t->inside, 1, __ATOMIC_SEQ_CST);
        t->released = monotonic();
        ok(dirkv_release_lock(b, "ball", fence, &err), "release");
        if (last) {
            break;
        }
    }
    close_store(b);
}

static int by_time(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void pass_a_lock(const char *path) {
    heading("A lock, passed between two processes");
    table *t = shared_memory(sizeof *t);
    const pid_t one = child(player, path, t), other = child(player, path, t);
    wait_for(one, "the first player");
    wait_for(other, "the second player");
    qsort(t->handed, ROUNDS, sizeof t->handed[0], by_time);
    printf("  handed over %d times, fences grew each time, never two holders\n", t->rounds);
    printf("  from the call of release in one to acquire's return in the other, both changes durable: median %.0f us\n",
           (double)t->handed[ROUNDS / 2] / 1e3);
    printf("  (fastest %.0f us, slowest %.0f us)\n", (double)t->handed[0] / 1e3, (double)t->handed[ROUNDS - 1] / 1e3);
}
