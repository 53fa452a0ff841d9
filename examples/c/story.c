/*
 * dirkv in C, from the first call to the last: open, create, upsert a batch, swap, list, expire, and a lock that goes
 * from one process to another.
 *
 *     cc story.c -ldirkv -o story && ./story /tmp/a-new-directory
 */

#include <dirkv.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000) /* times are nanoseconds */
#define HOUR (3600 * SECOND)

/* Every call returns a status, and its last parameter tells the rest. Here the first surprise ends the program. */
static dirkv_error *err;

static void expect(dirkv_status wanted, dirkv_status status, const char *what) {
    if (status != wanted) {
        fprintf(stderr, "%s: %s instead of %s: %s\n", what, dirkv_status_name(status), dirkv_status_name(wanted),
                dirkv_error_message(err));
        exit(1);
    }
    if (status != DIRKV_OK) {
        printf("%-14s %s: %s\n", what, dirkv_status_name(status), dirkv_error_message(err));
    }
    dirkv_error_free(err);
    err = NULL;
}

static void ok(dirkv_status status, const char *what) {
    expect(DIRKV_OK, status, what);
}

static void values(dirkv_backend *b) {
    uint64_t revision;

    /* A value lives in a bucket under a key. Create puts it only if none is there. The 0 is its time to live: for ever. */
    ok(dirkv_create_val(b, "shop/fruit", "apple", "3", 1, 0, &revision, &err), "create");
    printf("%-14s apple = 3\n", "create");
    expect(DIRKV_ALREADY_EXISTS, dirkv_create_val(b, "shop/fruit", "apple", "8", 1, 0, &revision, &err), "create again");

    /* A batch happens as a whole or not at all, whoever looks and whatever crashes. */
    const dirkv_item items[] = {
        {.key = "fig", .val = "7", .len = 1},
        {.key = "pear", .val = "5", .len = 1},
        {.key = "plum", .val = "9", .len = 1},
    };
    ok(dirkv_upsert_items(b, "shop/fruit", items, 3, sizeof items[0], &revision, &err), "batch");
    printf("%-14s fig, pear and plum at once\n", "batch");

    /* Sell one apple. If somebody else was quicker, the value isn't 3 any more, and the swap is refused. */
    ok(dirkv_compare_and_swap_val(b, "shop/fruit", "apple", "2", 1, "3", 1, 0, &revision, &err), "swap");
    printf("%-14s apple from 3 to 2\n", "swap");
    expect(DIRKV_COMPARE_FAILED,
           dirkv_compare_and_swap_val(b, "shop/fruit", "apple", "2", 1, "3", 1, 0, &revision, &err), "swap again");

    /* What the library gives is ours to free. */
    dirkv_buf val;
    ok(dirkv_get_val(b, "shop/fruit", "apple", &val, &err), "get");
    printf("%-14s apple = %.*s\n", "get", (int)val.len, (const char *)val.data);
    dirkv_buf_free(&val);
}

static void list(dirkv_backend *b) {
    dirkv_list *fruit;
    ok(dirkv_get_items(b, "shop/fruit", NULL, 0, 0, &fruit, &err), "list");
    printf("%-14s", "list");
    for (size_t i = 0; i < dirkv_list_len(fruit); i++) {
        dirkv_entry entry; /* points into the list */
        ok(dirkv_list_get(fruit, i, &entry, sizeof entry, &err), "list");
        printf(" %s=%.*s", entry.name, (int)entry.len, (const char *)entry.val);
    }
    printf("\n");
    dirkv_list_free(fruit);
}

/* A clock that is a day ahead. ctx is what was given to dirkv_params_set_clock. */
static int64_t tomorrow(void *ctx) {
    struct timespec now;
    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * SECOND + now.tv_nsec + 24 * HOUR;
}

static void expire(dirkv_backend *b, const char *path) {
    uint64_t revision;
    int32_t exists;
    ok(dirkv_upsert_val(b, "shop", "offer", "half price", 10, HOUR, &revision, &err), "offer");
    ok(dirkv_exists(b, "shop", "offer", &exists, &err), "offer");
    printf("%-14s %s\n", "offer today", exists ? "is there, for an hour" : "is gone");

    /* One process may open a store several times; this handle lives by another clock. */
    dirkv_params *params = dirkv_params_new();
    dirkv_backend *later;
    dirkv_buf val;
    ok(dirkv_params_set(params, "path", path, &err), "path");
    ok(dirkv_params_set_clock(params, tomorrow, NULL, &err), "clock");
    ok(dirkv_open(params, &later, &err), "open");
    dirkv_params_free(params);
    expect(DIRKV_NOT_FOUND, dirkv_get_val(later, "shop", "offer", &val, &err), "offer tomorrow");
    ok(dirkv_close(later, &err), "close");
}

/* The second process. It tries, sees that the till is taken, says so, and waits for it. */
static int second_process(const char *path) {
    dirkv_backend *b;
    uint64_t fence;
    ok(dirkv_open_path(path, &b, &err), "open");
    expect(DIRKV_TIMEOUT, dirkv_acquire_lock(b, "till", 30 * SECOND, 0, &fence, &err), "second tries");
    printf("second waits\n");
    fflush(stdout);
    ok(dirkv_acquire_lock(b, "till", 30 * SECOND, 60 * SECOND, &fence, &err), "second");
    printf("%-14s has the till, fence %" PRIu64 "\n", "second", fence);
    ok(dirkv_release_lock(b, "till", fence, &err), "second");
    ok(dirkv_close(b, &err), "close");
    return 0;
}

/* Starts the second process and gives what it prints. It runs this program anew: after a fork alone, a child may not use
 * its parent's handles (it would get DIRKV_FORKED), though it may open its own. */
static FILE *start_second(const char *program, const char *path, pid_t *pid) {
    int ends[2];
    if (pipe(ends) != 0 || (*pid = fork()) < 0) {
        perror("can't start the second process");
        exit(1);
    }
    if (*pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp(program, program, path, "second", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return fdopen(ends[0], "r");
}

static void lock(dirkv_backend *b, const char *program, const char *path) {
    /* A lock is a lease: should its holder die, it ends by itself, here after 30 s. The fence is a number that only grows:
     * who writes somewhere else under the lock shows it there, so that a holder who came too late is recognized. */
    uint64_t fence, theirs = 0;
    ok(dirkv_acquire_lock(b, "till", 30 * SECOND, 0, &fence, &err), "first");
    printf("%-14s has the till, fence %" PRIu64 "\n", "first", fence);
    fflush(stdout);

    char line[512];
    pid_t pid;
    int status = -1;
    FILE *said = start_second(program, path, &pid);
    while (said != NULL && fgets(line, sizeof line, said) != NULL) {
        if (strcmp(line, "second waits\n") == 0) {
            ok(dirkv_release_lock(b, "till", fence, &err), "first");
            printf("%-14s gives it back\n", "first");
        } else {
            printf("%s", line);
            sscanf(line, "second has the till, fence %" SCNu64, &theirs);
        }
    }
    if (said == NULL || fclose(said) != 0 || waitpid(pid, &status, 0) != pid || status != 0 || theirs <= fence) {
        fprintf(stderr, "the second process didn't get the lock after the first\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[2], "second") == 0) {
        return second_process(argv[1]);
    }
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    dirkv_backend *b;
    ok(dirkv_open_path(argv[1], &b, &err), "open");
    printf("%-14s dirkv %s\n", "open", dirkv_version());
    values(b);
    list(b);
    expire(b, argv[1]);
    lock(b, argv[0], argv[1]);
    ok(dirkv_close(b, &err), "close");
    printf("all is well\n");
    return 0;
}
