/* Create, compare-and-swap, and a value that expires, by a clock that we move. */

#include "demo.h"

#include <time.h>

static int64_t now;

static int64_t our_clock(void *ctx) {
    return *(int64_t *)ctx;
}

static dirkv_backend *open_with_our_clock(const char *path) {
    struct timespec real;
    dirkv_backend *b;
    clock_gettime(CLOCK_REALTIME, &real);
    now = real.tv_sec * SECOND + real.tv_nsec;
    dirkv_params *params = dirkv_params_new();
    ok(dirkv_params_set(params, "path", path, &err), "path");
    ok(dirkv_params_set_clock(params, our_clock, &now, &err), "clock");
    ok(dirkv_open(params, &b, &err), "open");
    dirkv_params_free(params);
    return b;
}

static void is(dirkv_backend *b, const char *key, const char *wanted) {
    dirkv_buf val;
    ok(dirkv_get_val(b, "demo", key, &val, &err), key);
    if (val.len != strlen(wanted) || memcmp(val.data, wanted, val.len) != 0) {
        die("%s is %.*s, not %s", key, (int)val.len, (const char *)val.data, wanted);
    }
    dirkv_buf_free(&val);
}

void values(const char *path) {
    uint64_t revision;
    heading("Values");
    dirkv_backend *b = open_with_our_clock(path);

    ok(dirkv_create_val(b, "demo", "door", "open", 4, 0, &revision, &err), "create");
    printf("  create         door = open\n");
    printf("  create again   %s\n", refused(DIRKV_ALREADY_EXISTS,
           dirkv_create_val(b, "demo", "door", "shut", 4, 0, &revision, &err), "create again"));
    is(b, "door", "open");

    ok(dirkv_compare_and_swap_val(b, "demo", "door", "shut", 4, "open", 4, 0, &revision, &err), "swap");
    printf("  swap           door from open to shut\n");
    printf("  swap again     %s\n", refused(DIRKV_COMPARE_FAILED,
           dirkv_compare_and_swap_val(b, "demo", "door", "ajar", 4, "open", 4, 0, &revision, &err), "swap again"));
    is(b, "door", "shut");

    ok(dirkv_upsert_val(b, "demo", "pass", "valid", 5, 3600 * SECOND, &revision, &err), "upsert");
    now += 3600 * SECOND - 1;
    is(b, "pass", "valid");
    printf("  expiry         a value with an hour to live is there a nanosecond before its hour is over\n");
    now += 1;
    dirkv_buf val;
    printf("  at the hour    %s\n", refused(DIRKV_NOT_FOUND, dirkv_get_val(b, "demo", "pass", &val, &err), "expiry"));
    close_store(b);
}
