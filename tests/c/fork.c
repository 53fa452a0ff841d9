/* A child may not use its parent's handle, but may open its own; the parent is unharmed. */

#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static dirkv_backend *b;

static void in_child(const char *path) {
    dirkv_backend *own;
    uint64_t number = 0;
    int64_t now = 0;
    dirkv_buf buf;
    dirkv_list *list;
    FAILS(DIRKV_FORKED, dirkv_upsert_val(b, "f", "k", "child", 5, 0, &number, &err));
    FAILS(DIRKV_FORKED, dirkv_get_val(b, "f", "k", &buf, &err));
    FAILS(DIRKV_FORKED, dirkv_get_items(b, "f", NULL, 0, 0, &list, &err));
    FAILS(DIRKV_FORKED, dirkv_clock_now(b, &now, &err));
    FAILS(DIRKV_FORKED, dirkv_acquire_lock(b, "t", SECOND, 0, &number, &err));
    FAILS(DIRKV_FORKED, dirkv_set_logger(b, NULL, NULL, 0, &err));
    FAILS(DIRKV_FORKED, dirkv_compact(b, &err));
    FAILS(DIRKV_FORKED, dirkv_close(b, &err));
    FAILS(DIRKV_FORKED, dirkv_close(b, &err));
    own = open_store(path);
    holds(own, "f", "k", "parent", 6);
    put(own, "f", "child", "was here");
    OK(dirkv_close(own, &err));
    /* exit, with the parent's handle still open. */
    exit(finished());
}

int main(int argc, char **argv) {
    const char *path = below(argv[1], "store");
    int round, status = -1;
    (void)argc;
    b = open_store(path);
    put(b, "f", "k", "parent");
    for (round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0) {
            in_child(path);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        holds(b, "f", "k", "parent", 6);
        holds(b, "f", "child", "was here", 8);
        put(b, "f", "k", "parent");
    }
    OK(dirkv_check(b, &err));
    OK(dirkv_close(b, &err));
    return finished();
}
