/* The clock and the logger: called in the caller's thread only, and refused when they call back. */

#include "check.h"

#include <pthread.h>

static dirkv_backend *b;
static pthread_t main_thread;
static int ticks, records, wrong_thread, allowed_from_callback;

static void try_to_call(void) {
    int64_t now;
    uint64_t revision;
    dirkv_backend *other = NULL;
    dirkv_error *error = NULL;
    if (b == NULL) {
        return;
    }
    if (dirkv_clock_now(b, &now, &error) != DIRKV_BAD_PARAMETER || strstr(dirkv_error_message(error), "callback") == NULL) {
        allowed_from_callback++;
    }
    dirkv_error_free(error);
    if (dirkv_upsert_val(b, "c", "k", "v", 1, 0, &revision, NULL) != DIRKV_BAD_PARAMETER ||
        dirkv_close(b, NULL) != DIRKV_BAD_PARAMETER || dirkv_open_path("x", &other, NULL) != DIRKV_BAD_PARAMETER) {
        allowed_from_callback++;
    }
}

static int64_t my_clock(void *ctx) {
    wrong_thread += !pthread_equal(pthread_self(), main_thread);
    ticks++;
    try_to_call();
    return *(int64_t *)ctx;
}

static void my_logger(void *ctx, int32_t level, const char *message) {
    wrong_thread += !pthread_equal(pthread_self(), main_thread);
    records++;
    CHECK(ctx == &records && level >= DIRKV_LOG_ERROR && level <= DIRKV_LOG_DEBUG);
    CHECK(message != NULL && message[0] != '\0' && strchr(message, '\n') == NULL);
    try_to_call();
}

int main(int argc, char **argv) {
    static char value[100000];
    int64_t now = 5 * SECOND, seen = 0;
    uint64_t revision = 0;
    dirkv_params *params = dirkv_params_new();
    dirkv_buf val;
    int i;
    (void)argc;
    main_thread = pthread_self();
    OK(dirkv_params_set(params, "path", below(argv[1], "store"), &err));
    OK(dirkv_params_set(params, "segment_size", "64KiB", &err));
    OK(dirkv_params_set_clock(params, my_clock, &now, &err));
    OK(dirkv_open(params, &b, &err));
    dirkv_params_free(params);

    OK(dirkv_clock_now(b, &seen, &err));
    CHECK(seen == 5 * SECOND && ticks > 0);
    OK(dirkv_upsert_val(b, "c", "k", "v", 1, SECOND, &revision, &err));
    now = 6 * SECOND;
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "c", "k", &val, &err));

    FAILS(DIRKV_BAD_PARAMETER, dirkv_set_logger(b, my_logger, &records, 0, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_set_logger(b, my_logger, &records, 5, &err));
    OK(dirkv_set_logger(b, my_logger, &records, DIRKV_LOG_DEBUG, &err));
    /* Segments fill, the background thread compacts: what it has to say comes in our calls, the clock is ours alone. */
    for (i = 0; i < 50; i++) {
        OK(dirkv_upsert_val(b, "c", "large", value, sizeof value, 1000 * SECOND, &revision, &err));
    }
    OK(dirkv_compact(b, &err));
    OK(dirkv_check(b, &err));
    CHECK(records > 0); /* that of the open, at least, waited for a call */
    OK(dirkv_set_logger(b, NULL, NULL, 0, &err));
    records = 0;
    for (i = 0; i < 20; i++) {
        OK(dirkv_upsert_val(b, "c", "large", value, sizeof value, 1000 * SECOND, &revision, &err));
    }
    OK(dirkv_compact(b, &err));
    CHECK(records == 0);
    OK(dirkv_close(b, &err));
    CHECK(wrong_thread == 0);
    CHECK(allowed_from_callback == 0);
    i = ticks;
    FAILS(DIRKV_CLOSED, dirkv_clock_now(b, &seen, &err));
    CHECK(ticks == i);
    return finished();
}
