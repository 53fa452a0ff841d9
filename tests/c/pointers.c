/* NULL where it may not be, handles that are none, use after close, and what may be freed twice. */

#include "check.h"

static dirkv_backend *b;
static uint64_t number;
static dirkv_buf buf;
static dirkv_list *list;
static int64_t instant;
static size_t len;
static int32_t flag;

/* Every call that takes a handle, with good arguments otherwise. */
static void every_call(dirkv_backend *h, dirkv_status wanted) {
    dirkv_item item = {"k", "v", 1, 0};
    static const unsigned char block[] = "\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
                                         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0k\0\0\0\0\0\0";
    number = 1;
    FAILS(wanted, dirkv_clock_now(h, &instant, &err));
    FAILS(wanted, dirkv_create_val(h, "b", "k", "v", 1, 0, &number, &err));
    CHECK(number == 0);
    FAILS(wanted, dirkv_upsert_val(h, "b", "k", "v", 1, 0, &number, &err));
    FAILS(wanted, dirkv_upsert_items(h, "b", &item, 1, sizeof item, &number, &err));
    FAILS(wanted, dirkv_upsert_packed(h, "b", block, sizeof block, &number, &err));
    FAILS(wanted, dirkv_compare_and_swap_val(h, "b", "k", "v", 1, "v", 1, 0, &number, &err));
    FAILS(wanted, dirkv_put_if_revision(h, "b", "k", "v", 1, 0, 0, &number, &err));
    FAILS(wanted, dirkv_delete_if_revision(h, "b", "k", 1, &err));
    FAILS(wanted, dirkv_touch(h, "b", "k", 0, &number, &err));
    FAILS(wanted, dirkv_exists(h, "b", "k", &flag, &err));
    FAILS(wanted, dirkv_get_val(h, "b", "k", &buf, &err));
    FAILS(wanted, dirkv_get_val_into(h, "b", "k", NULL, 0, &len, &err));
    FAILS(wanted, dirkv_get_item(h, "b", "k", &buf, &instant, &number, &err));
    FAILS(wanted, dirkv_get_keys(h, "b", NULL, 0, &list, &err));
    FAILS(wanted, dirkv_get_items(h, "b", NULL, 0, 0, &list, &err));
    CHECK(list == NULL);
    FAILS(wanted, dirkv_delete_key(h, "b", "k", &err));
    FAILS(wanted, dirkv_delete_bucket(h, "", "b", &err));
    FAILS(wanted, dirkv_acquire_lock(h, "t", SECOND, 0, &number, &err));
    FAILS(wanted, dirkv_release_lock(h, "t", 0, &err));
    FAILS(wanted, dirkv_renew_lock(h, "t", 1, SECOND, &err));
    FAILS(wanted, dirkv_get_locks(h, &list, &err));
    FAILS(wanted, dirkv_set_logger(h, NULL, NULL, 0, &err));
    FAILS(wanted, dirkv_sync(h, &err));
    FAILS(wanted, dirkv_compact(h, &err));
    FAILS(wanted, dirkv_check(h, &err));
    FAILS(wanted, dirkv_stats(h, &buf, &err));
    FAILS(wanted, dirkv_close(h, &err));
    /* The error object is optional. */
    CHECK(dirkv_sync(h, NULL) == wanted);
    CHECK(dirkv_close(h, NULL) == wanted);
}

static void handles(const char *folder) {
    static const uintptr_t none[] = {1, 42, 4095, 65535, 65536 * 4194304ULL - 1, 65536 * 4194304ULL, UINTPTR_MAX, UINTPTR_MAX / 2};
    dirkv_backend *second, *third;
    size_t i;
    every_call(NULL, DIRKV_BAD_PARAMETER);
    for (i = 0; i < sizeof none / sizeof none[0]; i++) {
        dirkv_status status = dirkv_sync((dirkv_backend *)none[i], NULL);
        CHECK(status == DIRKV_BAD_PARAMETER || status == DIRKV_CLOSED);
    }
    every_call((dirkv_backend *)UINTPTR_MAX, DIRKV_BAD_PARAMETER);

    b = open_store(below(folder, "one"));
    second = open_store(below(folder, "one"));
    CHECK(b != second);
    put(b, "b", "k", "v");
    holds(second, "b", "k", "v", 1);
    OK(dirkv_close(b, &err));
    every_call(b, DIRKV_CLOSED);
    /* The other handle lives, and a third one gets a number of its own. */
    third = open_store(below(folder, "one"));
    CHECK(third != b && third != second);
    every_call(b, DIRKV_CLOSED);
    holds(second, "b", "k", "v", 1);
    holds(third, "b", "k", "v", 1);
    OK(dirkv_close(second, &err));
    OK(dirkv_close(third, &err));
    for (i = 0; i < 50; i++) {
        second = open_store(below(folder, "one"));
        CHECK(second != b && second != third);
        OK(dirkv_close(second, &err));
        FAILS(DIRKV_CLOSED, dirkv_close(second, &err));
    }
}

/* Each output of each call, NULL; the others are cleared all the same. */
static void null_outputs(void) {
    dirkv_item item = {"k", "v", 1, 0};
    SAYS(DIRKV_BAD_PARAMETER, "now", dirkv_clock_now(b, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "revision", dirkv_create_val(b, "n", "k", "v", 1, 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "revision", dirkv_upsert_val(b, "n", "k", "v", 1, 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "revision", dirkv_upsert_items(b, "n", &item, 1, sizeof item, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "revision", dirkv_upsert_packed(b, "n", "", 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "revision", dirkv_compare_and_swap_val(b, "n", "k", "v", 1, "v", 1, 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "revision", dirkv_put_if_revision(b, "n", "k", "v", 1, 0, 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "revision", dirkv_touch(b, "n", "k", 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "exists", dirkv_exists(b, "n", "k", NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "val", dirkv_get_val(b, "n", "k", NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "len", dirkv_get_val_into(b, "n", "k", NULL, 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "val", dirkv_get_item(b, "n", "k", NULL, &instant, &number, &err));
    buf.len = 5;
    instant = 5;
    number = 5;
    SAYS(DIRKV_BAD_PARAMETER, "expires", dirkv_get_item(b, "n", "k", &buf, NULL, &number, &err));
    CHECK(buf.len == 0 && number == 0);
    SAYS(DIRKV_BAD_PARAMETER, "revision", dirkv_get_item(b, "n", "k", &buf, &instant, NULL, &err));
    CHECK(instant == 0);
    SAYS(DIRKV_BAD_PARAMETER, "list", dirkv_get_keys(b, "n", NULL, 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "list", dirkv_get_items(b, "n", NULL, 0, 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "fence", dirkv_acquire_lock(b, "t", SECOND, 0, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "list", dirkv_get_locks(b, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "json", dirkv_stats(b, NULL, &err));
    /* None of it did anything. */
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "n", "k", &buf, &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_release_lock(b, "t", 0, &err));
}

static void bad_lengths(void) {
    char dst[4];
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_upsert_val(b, "n", "k", "v", SIZE_MAX, 0, &number, &err));
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_compare_and_swap_val(b, "n", "k", "v", 1, "v", SIZE_MAX, 0, &number, &err));
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_upsert_packed(b, "n", "v", SIZE_MAX, &number, &err));
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_get_val_into(b, "n", "k", dst, SIZE_MAX, &len, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_get_val_into(b, "n", "k", NULL, 4, &len, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_compare_and_swap_val(b, "n", "k", "v", 1, NULL, 1, 0, &number, &err));
}

static void parameters(const char *folder) {
    dirkv_params *params = dirkv_params_new();
    dirkv_backend *none = (dirkv_backend *)&number;
    SAYS(DIRKV_BAD_PARAMETER, "params", dirkv_params_set(NULL, "path", "x", &err));
    SAYS(DIRKV_BAD_PARAMETER, "name", dirkv_params_set(params, NULL, "x", &err));
    SAYS(DIRKV_BAD_PARAMETER, "value", dirkv_params_set(params, "path", NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "params", dirkv_params_set_clock(NULL, NULL, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "clock", dirkv_params_set_clock(params, NULL, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "params", dirkv_open(NULL, &none, &err));
    CHECK(none == NULL);
    SAYS(DIRKV_BAD_PARAMETER, "out", dirkv_open(params, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "out", dirkv_open_path(folder, NULL, &err));
    SAYS(DIRKV_BAD_PARAMETER, "path", dirkv_open_path(NULL, &none, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_open_path("", &none, &err));
    dirkv_params_free(params);
}

/* Freeing NULL, or an emptied buffer again, does nothing; questions about no error have an answer. */
static void freeing(void) {
    put(b, "f", "k", "value");
    OK(dirkv_get_val(b, "f", "k", &buf, &err));
    dirkv_buf_free(&buf);
    CHECK(buf.data == NULL && buf.len == 0);
    dirkv_buf_free(&buf);
    dirkv_buf_free(&buf);
    dirkv_buf_free(NULL);
    dirkv_list_free(NULL);
    dirkv_error_free(NULL);
    dirkv_params_free(NULL);
    CHECK(dirkv_error_code(NULL) == DIRKV_OK && dirkv_error_os_errno(NULL) == 0);
    CHECK(strcmp(dirkv_error_message(NULL), "") == 0);
    CHECK(dirkv_list_len(NULL) == 0);
}

/* An error has all three parts, and each failed call its own. */
static void errors(const char *folder) {
    dirkv_error *one = NULL, *two = NULL;
    dirkv_backend *none;
    CHECK(dirkv_get_val(b, "e", "one", &buf, &one) == DIRKV_NOT_FOUND);
    CHECK(dirkv_get_val(b, "e", "two", &buf, &two) == DIRKV_NOT_FOUND);
    CHECK(strstr(dirkv_error_message(one), "\"one\"") != NULL && strstr(dirkv_error_message(two), "\"two\"") != NULL);
    CHECK(dirkv_error_os_errno(one) == 0 && dirkv_error_code(one) == DIRKV_NOT_FOUND);
    dirkv_error_free(one);
    dirkv_error_free(two);
    /* The directory is a file: the system's errno comes along. */
    CHECK(dirkv_open_path(below(folder, "one/LOCK"), &none, &one) == DIRKV_BAD_PARAMETER);
    CHECK(dirkv_error_os_errno(one) == 20 && strstr(dirkv_error_message(one), "one/LOCK") != NULL);
    dirkv_error_free(one);
}

int main(int argc, char **argv) {
    (void)argc;
    handles(argv[1]);
    b = open_store(below(argv[1], "one"));
    null_outputs();
    bad_lengths();
    parameters(argv[1]);
    freeing();
    errors(argv[1]);
    OK(dirkv_close(b, &err));
    return finished();
}
