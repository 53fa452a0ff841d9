/* Every row of the table of calls, with what it returns and each of its errors. A replaced clock moves the time. */

#include "check.h"

static int64_t now_ns = 1000 * SECOND;

static int64_t clock_of_test(void *ctx) {
    return *(int64_t *)ctx;
}

static dirkv_backend *open_with_clock(const char *path) {
    dirkv_params *params = dirkv_params_new();
    dirkv_backend *b = NULL;
    CHECK(params != NULL);
    OK(dirkv_params_set(params, "path", path, &err));
    OK(dirkv_params_set_clock(params, clock_of_test, &now_ns, &err));
    OK(dirkv_open(params, &b, &err));
    dirkv_params_free(params);
    if (b == NULL) {
        exit(1);
    }
    return b;
}

static void about_itself(void) {
    CHECK(strcmp(dirkv_name(), "dir") == 0);
    CHECK(strchr(dirkv_version(), '.') != NULL);
    CHECK(dirkv_abi_version() == DIRKV_ABI_VERSION);
    CHECK(strcmp(dirkv_status_name(DIRKV_OK), "OK") == 0);
    CHECK(strcmp(dirkv_status_name(DIRKV_NOT_FOUND), "NOT_FOUND") == 0);
    CHECK(strcmp(dirkv_status_name(DIRKV_INTERNAL), "INTERNAL") == 0);
    CHECK(strcmp(dirkv_status_name(4711), "UNKNOWN") == 0);
    CHECK(strcmp(dirkv_status_name(-1), "UNKNOWN") == 0);
}

static void parameters(const char *folder) {
    static const char *const good[][2] = {
        {"path", "/nowhere"}, {"data_dir", "/nowhere"}, {"sync", "full"}, {"sync", "os"}, {"lock_timeout", "30s"},
        {"lock_timeout", "250ms"}, {"background", "on"}, {"background", "off"}, {"read_only", "true"}, {"read_only", "false"},
        {"dir_mode", "0750"}, {"file_mode", "0640"}, {"segment_size", "8MiB"}, {"memory_limit", "64MiB"}, {"max_lock_ttl", "2m"},
    };
    static const char *const bad[][2] = {
        {"", "x"}, {"pathe", "/x"}, {"PATH", "/x"}, {"path", ""}, {"sync", "maybe"}, {"sync", ""}, {"lock_timeout", "30"},
        {"lock_timeout", "-1s"}, {"lock_timeout", "1 s"}, {"lock_timeout", "99999999999999999999s"}, {"background", "yes"},
        {"read_only", "perhaps"}, {"dir_mode", "rwx"}, {"dir_mode", "07777"}, {"file_mode", "9"}, {"segment_size", "8"},
        {"segment_size", "1B"}, {"memory_limit", "0"}, {"memory_limit", "many"}, {"max_lock_ttl", "0"}, {"max_lock_ttl", "x"},
    };
    dirkv_params *params = dirkv_params_new();
    dirkv_backend *b = NULL;
    size_t i;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        OK(dirkv_params_set(params, good[i][0], good[i][1], &err));
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        SAYS(DIRKV_BAD_PARAMETER, bad[i][0], dirkv_params_set(params, bad[i][0], bad[i][1], &err));
    }
    FAILS(DIRKV_BAD_PARAMETER, dirkv_params_set(params, "path", "/\xff", &err));
    dirkv_params_free(params);

    /* Without a path there is nothing to open. */
    params = dirkv_params_new();
    SAYS(DIRKV_BAD_PARAMETER, "path", dirkv_open(params, &b, &err));
    CHECK(b == NULL);
    /* data_dir is the path when path is absent, and nothing beside it. */
    OK(dirkv_params_set(params, "data_dir", below(folder, "data_dir"), &err));
    OK(dirkv_open(params, &b, &err));
    put(b, "a", "k", "v");
    OK(dirkv_close(b, &err));
    OK(dirkv_params_set(params, "path", below(folder, "path"), &err));
    OK(dirkv_open(params, &b, &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "a", "k", &(dirkv_buf){NULL, 0}, &err));
    OK(dirkv_close(b, &err));
    dirkv_params_free(params);
}

static void opening(const char *folder) {
    dirkv_params *params = dirkv_params_new();
    dirkv_backend *b = NULL;
    const char *path = below(folder, "modes");
    const char *file = below(folder, "file");
    FILE *stream = fopen(file, "w");
    CHECK(stream != NULL && fclose(stream) == 0);

    /* A file where the directory should be. */
    SAYS(DIRKV_BAD_PARAMETER, file, dirkv_open_path(file, &b, &err));
    CHECK(b == NULL);
    /* A store is created with its parents, but not by a handle that only reads. */
    OK(dirkv_params_set(params, "path", path, &err));
    OK(dirkv_params_set(params, "read_only", "true", &err));
    SAYS(DIRKV_NOT_FOUND, path, dirkv_open(params, &b, &err));
    CHECK(b == NULL);
    OK(dirkv_params_set(params, "read_only", "false", &err));
    OK(dirkv_params_set(params, "sync", "os", &err));
    OK(dirkv_open(params, &b, &err));
    put(b, "a", "k", "v");
    OK(dirkv_sync(b, &err));
    OK(dirkv_close(b, &err));
    /* The store keeps its mode. */
    OK(dirkv_params_set(params, "sync", "full", &err));
    SAYS(DIRKV_UNSUPPORTED, "sync", dirkv_open(params, &b, &err));
    CHECK(b == NULL);
    b = open_store(path);
    holds(b, "a", "k", "v", 1);
    OK(dirkv_close(b, &err));
    dirkv_params_free(params);

    /* A read-only handle reads and changes nothing. */
    params = dirkv_params_new();
    OK(dirkv_params_set(params, "path", path, &err));
    OK(dirkv_params_set(params, "read_only", "true", &err));
    OK(dirkv_open(params, &b, &err));
    holds(b, "a", "k", "v", 1);
    FAILS(DIRKV_READ_ONLY, dirkv_upsert_val(b, "a", "k", "w", 1, 0, &(uint64_t){0}, &err));
    FAILS(DIRKV_READ_ONLY, dirkv_delete_key(b, "a", "k", &err));
    FAILS(DIRKV_READ_ONLY, dirkv_acquire_lock(b, "t", SECOND, 0, &(uint64_t){0}, &err));
    FAILS(DIRKV_READ_ONLY, dirkv_compact(b, &err));
    OK(dirkv_sync(b, &err));
    OK(dirkv_check(b, &err));
    OK(dirkv_close(b, &err));
    dirkv_params_free(params);
}

static void creating_and_upserting(dirkv_backend *b) {
    uint64_t first = 0, second = 0, third = 9;
    OK(dirkv_create_val(b, "a/b", "k", "one", 3, 0, &first, &err));
    CHECK(first > 0);
    SAYS(DIRKV_ALREADY_EXISTS, "k", dirkv_create_val(b, "a/b", "k", "two", 3, 0, &third, &err));
    CHECK(third == 0);
    holds(b, "a/b", "k", "one", 3);
    OK(dirkv_upsert_val(b, "a/b", "k", "three", 5, 0, &second, &err));
    CHECK(second > first);
    holds(b, "a/b", "k", "three", 5);
    FAILS(DIRKV_BAD_PARAMETER, dirkv_create_val(b, "a/b", "l", "x", 1, -1, &third, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_val(b, "a/b", "l", "x", 1, INT64_MIN, &third, &err));
    SAYS(DIRKV_NOT_FOUND, "l", dirkv_get_val(b, "a/b", "l", &(dirkv_buf){NULL, 0}, &err));
    SAYS(DIRKV_BAD_PARAMETER, "bucket", dirkv_get_val(b, "a", "b", &(dirkv_buf){NULL, 0}, &err));
}

static void expiring(dirkv_backend *b) {
    uint64_t revision = 0;
    int64_t now = 0, expires = 0;
    int32_t exists = 7;
    dirkv_buf val;
    OK(dirkv_clock_now(b, &now, &err));
    CHECK(now == now_ns);
    OK(dirkv_upsert_val(b, "ttl", "k", "v", 1, 10 * SECOND, &revision, &err));
    OK(dirkv_get_item(b, "ttl", "k", &val, &expires, &revision, &err));
    CHECK(val.len == 1 && expires == now_ns + 10 * SECOND);
    dirkv_buf_free(&val);
    now_ns += 10 * SECOND - 1;
    OK(dirkv_exists(b, "ttl", "k", &exists, &err));
    CHECK(exists == 1);
    now_ns += 1;
    OK(dirkv_exists(b, "ttl", "k", &exists, &err));
    CHECK(exists == 0);
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "ttl", "k", &val, &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_get_item(b, "ttl", "k", &val, &expires, &revision, &err));
    CHECK(val.data == NULL && val.len == 0 && expires == 0 && revision == 0);
    FAILS(DIRKV_NOT_FOUND, dirkv_delete_key(b, "ttl", "k", &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_touch(b, "ttl", "k", SECOND, &revision, &err));
    FAILS(DIRKV_COMPARE_FAILED, dirkv_compare_and_swap_val(b, "ttl", "k", "w", 1, "v", 1, 0, &revision, &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_delete_bucket(b, "", "ttl", &err));
    OK(dirkv_create_val(b, "ttl", "k", "again", 5, INT64_MAX, &revision, &err));
    OK(dirkv_get_item(b, "ttl", "k", &val, &expires, &revision, &err));
    CHECK(expires == INT64_MAX);
    dirkv_buf_free(&val);
    OK(dirkv_touch(b, "ttl", "k", 5 * SECOND, &revision, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_touch(b, "ttl", "k", -5, &revision, &err));
    now_ns += 5 * SECOND;
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "ttl", "k", &val, &err));
}

static void comparing(dirkv_backend *b) {
    uint64_t first, second = 0, third = 0;
    put(b, "c", "k", "");
    OK(dirkv_compare_and_swap_val(b, "c", "k", "1", 1, NULL, 0, 0, &second, &err));
    SAYS(DIRKV_COMPARE_FAILED, "k", dirkv_compare_and_swap_val(b, "c", "k", "2", 1, "0", 1, 0, &third, &err));
    CHECK(third == 0);
    FAILS(DIRKV_COMPARE_FAILED, dirkv_compare_and_swap_val(b, "c", "absent", "2", 1, NULL, 0, 0, &third, &err));
    holds(b, "c", "k", "1", 1);

    OK(dirkv_put_if_revision(b, "c", "k", "2", 1, second, 0, &third, &err));
    CHECK(third > second);
    FAILS(DIRKV_COMPARE_FAILED, dirkv_put_if_revision(b, "c", "k", "3", 1, second, 0, &first, &err));
    FAILS(DIRKV_COMPARE_FAILED, dirkv_put_if_revision(b, "c", "k", "3", 1, 0, 0, &first, &err));
    FAILS(DIRKV_COMPARE_FAILED, dirkv_put_if_revision(b, "c", "absent", "3", 1, third, 0, &first, &err));
    OK(dirkv_put_if_revision(b, "c", "new", "3", 1, 0, 0, &first, &err));

    FAILS(DIRKV_COMPARE_FAILED, dirkv_delete_if_revision(b, "c", "k", second, &err));
    OK(dirkv_delete_if_revision(b, "c", "k", third, &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_delete_if_revision(b, "c", "k", third, &err));
}

static void reading(dirkv_backend *b) {
    char memory[8] = "zzzzzzz";
    size_t len = 99;
    uint64_t revision = put(b, "r", "k", "12345"), found = 0;
    int64_t expires = 5;
    dirkv_buf val;
    OK(dirkv_get_val_into(b, "r", "k", memory, sizeof memory, &len, &err));
    CHECK(len == 5 && memcmp(memory, "12345zz", 8) == 0);
    OK(dirkv_get_val_into(b, "r", "k", memory, 5, &len, &err));
    SAYS(DIRKV_BUFFER_TOO_SMALL, "5 bytes", dirkv_get_val_into(b, "r", "k", memory, 4, &len, &err));
    CHECK(len == 5);
    len = 99;
    FAILS(DIRKV_BUFFER_TOO_SMALL, dirkv_get_val_into(b, "r", "k", NULL, 0, &len, &err));
    CHECK(len == 5);
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val_into(b, "r", "absent", memory, sizeof memory, &len, &err));
    CHECK(len == 0);
    FAILS(DIRKV_BAD_PARAMETER, dirkv_get_val_into(b, "", "r", memory, sizeof memory, &len, &err));
    put(b, "r", "empty", "");
    OK(dirkv_get_val_into(b, "r", "empty", NULL, 0, &len, &err));
    CHECK(len == 0);
    OK(dirkv_get_val(b, "r", "empty", &val, &err));
    CHECK(val.data == NULL && val.len == 0);
    OK(dirkv_get_item(b, "r", "k", &val, &expires, &found, &err));
    CHECK(val.len == 5 && expires == 0 && found == revision);
    dirkv_buf_free(&val);
}

static void deleting(dirkv_backend *b) {
    dirkv_buf val;
    put(b, "d", "t", "a key and a bucket of one name");
    put(b, "d/t", "1", "x");
    put(b, "d/t/u", "2", "x");
    OK(dirkv_delete_bucket(b, "d", "t", &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "d/t", "1", &val, &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "d/t/u", "2", &val, &err));
    SAYS(DIRKV_NOT_FOUND, "t", dirkv_delete_bucket(b, "d", "t", &err));
    OK(dirkv_delete_key(b, "d", "t", &err));
    SAYS(DIRKV_NOT_FOUND, "t", dirkv_delete_key(b, "d", "t", &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_delete_bucket(b, "", "", &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_delete_bucket(b, "", "d/t", &err));
}

static void upkeep(dirkv_backend *b) {
    dirkv_buf json;
    OK(dirkv_sync(b, &err));
    OK(dirkv_compact(b, &err));
    OK(dirkv_check(b, &err));
    OK(dirkv_stats(b, &json, &err));
    CHECK(json.len > 2 && json.data[0] == '{' && json.data[json.len - 1] == '}');
    dirkv_buf_free(&json);
}

int main(int argc, char **argv) {
    dirkv_backend *b;
    (void)argc;
    about_itself();
    parameters(argv[1]);
    opening(argv[1]);
    b = open_with_clock(below(argv[1], "store"));
    creating_and_upserting(b);
    expiring(b);
    comparing(b);
    reading(b);
    deleting(b);
    upkeep(b);
    holds(b, "a/b", "k", "three", 5);
    OK(dirkv_close(b, &err));
    return finished();
}
