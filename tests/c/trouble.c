/* What the disk and other processes do to a store, as a caller of the ABI sees it: each status, what the message names, and
 * that the store goes on once the trouble is over. */

#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

static char large[100000];
static uint64_t revision;

static dirkv_backend *open_with(const char *path, const char *lock_timeout) {
    dirkv_params *params = dirkv_params_new();
    dirkv_backend *b = NULL;
    OK(dirkv_params_set(params, "path", path, &err));
    OK(dirkv_params_set(params, "segment_size", "64KiB", &err));
    OK(dirkv_params_set(params, "lock_timeout", lock_timeout, &err));
    OK(dirkv_params_set(params, "background", "off", &err));
    OK(dirkv_open(params, &b, &err));
    dirkv_params_free(params);
    if (b == NULL) {
        exit(1);
    }
    return b;
}

/* The first file of the store whose name begins so; the text is never freed. */
static const char *file_of(const char *path, const char *prefix) {
    DIR *dir = opendir(path);
    struct dirent *entry;
    const char *found = NULL;
    while (dir != NULL && found == NULL && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            found = below(path, entry->d_name);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    CHECK(found != NULL);
    return found == NULL ? "" : found;
}

static void flip(const char *file, off_t at) {
    unsigned char byte = 0;
    int fd = open(file, O_RDWR);
    CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x40;
    CHECK(pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0);
}

/* Bytes that are not those that were written: found, named, and left as they are. */
static void damaged(const char *path) {
    dirkv_backend *b = open_with(path, "10s"), *none = NULL;
    const char *holder;
    memset(large, 'x', sizeof large);
    OK(dirkv_upsert_val(b, "d", "large", large, sizeof large, 0, &revision, &err));
    put(b, "d", "k", "v");
    OK(dirkv_compact(b, &err));
    /* The flush has copied it, and the merge after it has left it there. */
    holder = file_of(path, "table-1");
    flip(holder, 50000);
    SAYS(DIRKV_CORRUPT, strrchr(holder, '/') + 1, dirkv_check(b, &err));
    SAYS(DIRKV_CORRUPT, strrchr(holder, '/') + 1, dirkv_get_val(b, "d", "large", &(dirkv_buf){NULL, 0}, &err));
    holds(b, "d", "k", "v", 1);
    flip(holder, 50000);
    OK(dirkv_check(b, &err));
    holds(b, "d", "large", large, sizeof large);
    OK(dirkv_close(b, &err));

    flip(below(path, "MANIFEST"), 20);
    SAYS(DIRKV_CORRUPT, "MANIFEST", dirkv_open_path(path, &none, &err));
    CHECK(none == NULL);
    flip(below(path, "MANIFEST"), 20);
    b = open_with(path, "10s");
    holds(b, "d", "large", large, sizeof large);
    OK(dirkv_close(b, &err));
}

/* Another process keeps the store for itself: readers don't care, writers and openers wait as long as they said. */
static void kept_by_another(const char *path) {
    dirkv_backend *b = open_with(path, "50ms"), *none = NULL;
    dirkv_params *params = dirkv_params_new();
    int fd = open(below(path, "LOCK"), O_RDWR);
    put(b, "t", "k", "v");
    CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
    revision = 1;
    SAYS(DIRKV_TIMEOUT, "lock_timeout", dirkv_upsert_val(b, "t", "k", "w", 1, 0, &revision, &err));
    CHECK(revision == 0);
    FAILS(DIRKV_TIMEOUT, dirkv_delete_bucket(b, "", "t", &err));
    holds(b, "t", "k", "v", 1);
    OK(dirkv_params_set(params, "path", path, &err));
    OK(dirkv_params_set(params, "lock_timeout", "50ms", &err));
    SAYS(DIRKV_TIMEOUT, "LOCK", dirkv_open(params, &none, &err));
    CHECK(none == NULL && close(fd) == 0);
    holds(b, "t", "k", "v", 1);
    put(b, "t", "k", "w");
    OK(dirkv_close(b, &err));
    dirkv_params_free(params);
}

/* No file of this process may grow beyond this, as if the disk were full. */
static void limit(rlim_t size) {
    struct rlimit now;
    CHECK(getrlimit(RLIMIT_FSIZE, &now) == 0);
    now.rlim_cur = size < now.rlim_max ? size : now.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &now) == 0);
}

/* No room for the segment that a large value needs: nothing is written, reads and small writes go on. */
static void no_room(const char *path) {
    dirkv_backend *b = open_with(path, "10s");
    put(b, "f", "k", "v");
    limit(64 << 10);
    revision = 1;
    SAYS(DIRKV_NO_SPACE, "log-", dirkv_upsert_val(b, "f", "large", large, sizeof large, 0, &revision, &err));
    CHECK(revision == 0);
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "f", "large", &(dirkv_buf){NULL, 0}, &err));
    holds(b, "f", "k", "v", 1);
    limit(RLIM_INFINITY);
    OK(dirkv_upsert_val(b, "f", "large", large, sizeof large, 0, &revision, &err));
    holds(b, "f", "large", large, sizeof large);
    OK(dirkv_check(b, &err));
    OK(dirkv_close(b, &err));
}

/* A write fails, and so does all that would recover from it: only then nobody knows. */
static void uncertain(const char *path) {
    dirkv_backend *b = open_with(path, "100ms");
    dirkv_buf val;
    put(b, "u", "k", "v");
    limit(1);
    revision = 1;
    SAYS(DIRKV_UNCERTAIN, "may or may not have happened", dirkv_upsert_val(b, "u", "n", "w", 1, 0, &revision, &err));
    CHECK(revision == 0);
    holds(b, "u", "k", "v", 1);
    limit(RLIM_INFINITY);
    put(b, "u", "k", "after");
    holds(b, "u", "k", "after", 5);
    /* It may be there or not, but whole. */
    if (dirkv_get_val(b, "u", "n", &val, NULL) == DIRKV_OK) {
        CHECK(val.len == 1 && val.data[0] == 'w');
    }
    dirkv_buf_free(&val);
    OK(dirkv_check(b, &err));
    OK(dirkv_close(b, &err));
}

/* What the system says comes along. */
static void the_systems_errno(const char *folder) {
    char name[300];
    dirkv_backend *none = NULL;
    dirkv_error *error = NULL;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK(dirkv_open_path(below(folder, name), &none, &error) == DIRKV_IO && none == NULL);
    CHECK(dirkv_error_os_errno(error) == 36 && strstr(dirkv_error_message(error), "nnn") != NULL);
    dirkv_error_free(error);
}

int main(int argc, char **argv) {
    (void)argc;
    signal(SIGXFSZ, SIG_IGN);
    damaged(below(argv[1], "damaged"));
    kept_by_another(below(argv[1], "kept"));
    no_room(below(argv[1], "full"));
    uncertain(below(argv[1], "uncertain"));
    the_systems_errno(argv[1]);
    return finished();
}
