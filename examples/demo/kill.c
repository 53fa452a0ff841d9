/* A process is killed in the middle of writing, several times. Each time the store is opened, every byte of it is checked,
 * every batch that the process was told of is there, and the batch that it was writing is there as a whole or not at all. */

#include "demo.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 5, BATCH = 8, VALUE = 700 };

typedef struct {
    char bucket[32];
    int pipe[2];
} round_of;

static void make_value(char *val, uint64_t batch, int item) {
    for (int i = 0; i < VALUE; i++) {
        val[i] = (char)(batch * 31 + (uint64_t)item * 7 + (uint64_t)i);
    }
}

/* Writes batch after batch, and reports the number of each once it is told that it is durable. Only a kill ends it. */
static void writer(const char *path, void *shared) {
    const round_of *r = shared;
    dirkv_backend *b = open_store(path);
    for (uint64_t batch = 1;; batch++) {
        static char keys[BATCH][32], vals[BATCH][VALUE];
        dirkv_item items[BATCH] = {{0}};
        uint64_t revision;
        for (int i = 0; i < BATCH; i++) {
            snprintf(keys[i], sizeof keys[i], "%08" PRIu64 "-%d", batch, i);
            make_value(vals[i], batch, i);
            items[i] = (dirkv_item){.key = keys[i], .val = vals[i], .len = VALUE};
        }
        ok(dirkv_upsert_items(b, r->bucket, items, BATCH, sizeof items[0], &revision, &err), "write a batch");
        if (write(r->pipe[1], &batch, sizeof batch) != sizeof batch) {
            die("nobody reads what I report");
        }
    }
}

/* Lets the writer write for a while and kills it; returns the last batch that it reported. */
static uint64_t write_and_kill(const char *path, round_of *r, int64_t lifetime) {
    uint64_t batch = 0, last = 0;
    int status;
    if (pipe(r->pipe) != 0) {
        die("no pipe");
    }
    const pid_t pid = child(writer, path, r);
    close(r->pipe[1]);
    for (int64_t end = 0; end == 0 || monotonic() < end;) {
        if (read(r->pipe[0], &batch, sizeof batch) != sizeof batch) {
            die("the writer ended by itself");
        }
        last = batch;
        end = end == 0 ? monotonic() + lifetime : end;
    }
    kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)) {
        die("the writer wasn't killed");
    }
    while (read(r->pipe[0], &batch, sizeof batch) == sizeof batch) {
        last = batch;
    }
    close(r->pipe[0]);
    return last;
}

/* Compares what is there with what must be; returns how many batches there are. */
static uint64_t compare(dirkv_backend *b, const round_of *r) {
    dirkv_list *list;
    uint64_t revision = 0;
    ok(dirkv_get_items(b, r->bucket, NULL, 0, 0, &list, &err), "list");
    const size_t n = dirkv_list_len(list);
    for (size_t i = 0; i < n; i++) {
        dirkv_entry entry;
        char key[32], val[VALUE];
        ok(dirkv_list_get(list, i, &entry, sizeof entry, &err), "list");
        snprintf(key, sizeof key, "%08zu-%zu", i / BATCH + 1, i % BATCH);
        make_value(val, i / BATCH + 1, (int)(i % BATCH));
        if (strcmp(entry.name, key) != 0 || entry.len != VALUE || memcmp(entry.val, val, VALUE) != 0) {
            die("%s should be %s, with other bytes", entry.name, key);
        }
        if (i % BATCH == 0 ? entry.revision <= revision : entry.revision != revision) {
            die("%s is not of its batch's revision", key);
        }
        revision = entry.revision;
    }
    dirkv_list_free(list);
    if (n % BATCH != 0) {
        die("a batch is there in part: %zu items of batches of %d", n, BATCH);
    }
    return n / BATCH;
}

void kill_a_writer(const char *path) {
    uint64_t acknowledged = 0, unreported = 0, revision;
    int64_t slowest = 0;
    heading("A writer, killed by SIGKILL in the middle of writing");
    srand((unsigned)monotonic());
    for (int kills = 0; kills < KILLS; kills++) {
        round_of r;
        snprintf(r.bucket, sizeof r.bucket, "killed/%d", kills + 1);
        const uint64_t last = write_and_kill(path, &r, SECOND / 20 + rand() % (SECOND / 10));

        const int64_t begin = monotonic();
        dirkv_backend *b = open_store(path);
        ok(dirkv_upsert_val(b, "demo", "after", "the kill", 8, 0, &revision, &err), "write after a kill");
        const int64_t took = monotonic() - begin;
        slowest = took > slowest ? took : slowest;
        ok(dirkv_check(b, &err), "check");
        const uint64_t there = compare(b, &r);
        close_store(b);
        if (there < last || there > last + 1) {
            die("%" PRIu64 " batches are there, %" PRIu64 " were acknowledged", there, last);
        }
        acknowledged += last;
        unreported += there - last;
    }
    printf("  %d kills; all %" PRIu64 " acknowledged batches of %d items are there, whole and exact, and nothing torn\n",
           KILLS, acknowledged, BATCH);
    printf("  (%" PRIu64 " more became durable without living to report it); every check was clean\n", unreported);
    printf("  opened and written again after at most %.1f ms\n", (double)slowest / 1e6);
}
