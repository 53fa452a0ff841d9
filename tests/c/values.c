/* Values and batches: empty, with NULs, as large as may be and one byte more; from an array and from a packed block. */

#include "check.h"

#define MIB ((size_t)1 << 20)

static dirkv_backend *b;
static uint64_t revision;
static int quick; /* under valgrind: the same with fewer items */

static void u32(unsigned char *at, uint32_t n) {
    int i;
    for (i = 0; i < 4; i++) {
        at[i] = (unsigned char)(n >> 8 * i);
    }
}

static void u64(unsigned char *at, uint64_t n) {
    u32(at, (uint32_t)(n & 0xffffffff));
    u32(at + 4, (uint32_t)(n >> 32));
}

/* Adds an entry to a packed block as the header tells its layout; returns the block's new length. */
static size_t pack(unsigned char *block, size_t len, uint32_t kind, const char *name, const char *val, int64_t time) {
    size_t name_len = strlen(name), val_len = strlen(val);
    if (len == 0) {
        u32(block, 1);
        u32(block + 4, 0);
        len = 8;
    }
    u32(block + 4, block[4] + 1U);
    memset(block + len, 0, 32 + name_len + val_len + 9);
    u32(block + len, kind);
    u32(block + len + 8, (uint32_t)name_len);
    u32(block + len + 12, (uint32_t)val_len);
    u64(block + len + 16, (uint64_t)time);
    memcpy(block + len + 32, name, name_len);
    memcpy(block + len + 32 + name_len + 1, val, val_len);
    return (len + 32 + name_len + 1 + val_len + 7) / 8 * 8;
}

static void small_values(void) {
    static const char nuls[] = "\0a\0\0b\0";
    unsigned char all[256];
    size_t i;
    for (i = 0; i < sizeof all; i++) {
        all[i] = (unsigned char)i;
    }
    OK(dirkv_upsert_val(b, "v", "empty", NULL, 0, 0, &revision, &err));
    holds(b, "v", "empty", NULL, 0);
    OK(dirkv_upsert_val(b, "v", "empty too", "", 0, 0, &revision, &err));
    holds(b, "v", "empty too", NULL, 0);
    OK(dirkv_upsert_val(b, "v", "nuls", nuls, sizeof nuls, 0, &revision, &err));
    holds(b, "v", "nuls", nuls, sizeof nuls);
    OK(dirkv_upsert_val(b, "v", "all", all, sizeof all, 0, &revision, &err));
    holds(b, "v", "all", all, sizeof all);
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_val(b, "v", "null", NULL, 1, 0, &revision, &err));
}

/* Around the sizes at which the store keeps values differently. */
static void sizes(void) {
    static const size_t lens[] = {1, 100, 4095, 4096, 4097, 8191, 8192, 65535, 65536, 1 << 20};
    unsigned char *val = malloc(MIB);
    char key[32];
    size_t i, j;
    for (i = 0; i < MIB; i++) {
        val[i] = (unsigned char)(i * 31 >> 3);
    }
    for (j = 0; j < 2; j++) {
        for (i = 0; i < sizeof lens / sizeof lens[0]; i++) {
            snprintf(key, sizeof key, "%zu", lens[i]);
            if (j == 0) {
                OK(dirkv_upsert_val(b, "sizes", key, val, lens[i], 0, &revision, &err));
            }
            holds(b, "sizes", key, val, lens[i]);
        }
        OK(dirkv_compact(b, &err));
    }
    free(val);
}

static void largest(void) {
    unsigned char *val = malloc(64 * MIB + 1), *copy = malloc(64 * MIB);
    size_t len = 0;
    if (val == NULL || copy == NULL) {
        fail(__FILE__, __LINE__, "no memory");
        exit(1);
    }
    memset(val, 0xa5, 64 * MIB + 1);
    val[0] = 1;
    val[64 * MIB - 1] = 2;
    OK(dirkv_create_val(b, "large", "k", val, 64 * MIB, 0, &revision, &err));
    holds(b, "large", "k", val, 64 * MIB);
    OK(dirkv_get_val_into(b, "large", "k", copy, 64 * MIB, &len, &err));
    CHECK(len == 64 * MIB && memcmp(copy, val, len) == 0);
    FAILS(DIRKV_BUFFER_TOO_SMALL, dirkv_get_val_into(b, "large", "k", copy, 64 * MIB - 1, &len, &err));
    CHECK(len == 64 * MIB);

    SAYS(DIRKV_LIMIT_EXCEEDED, "64 MiB", dirkv_upsert_val(b, "large", "l", val, 64 * MIB + 1, 0, &revision, &err));
    CHECK(revision == 0);
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_create_val(b, "large", "l", val, 64 * MIB + 1, 0, &revision, &err));
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_put_if_revision(b, "large", "l", val, 64 * MIB + 1, 0, 0, &revision, &err));
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_compare_and_swap_val(b, "large", "k", val, 64 * MIB + 1, val, 64 * MIB, 0, &revision, &err));
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "large", "l", &(dirkv_buf){NULL, 0}, &err));
    OK(dirkv_compare_and_swap_val(b, "large", "k", "small", 5, val, 64 * MIB, 0, &revision, &err));
    holds(b, "large", "k", "small", 5);
    free(val);
    free(copy);
}

static void arrays(void) {
    dirkv_item items[4];
    dirkv_buf val;
    uint64_t found = 0;
    int64_t expires = 0, now = 0;
    memset(items, 0, sizeof items);
    items[0] = (dirkv_item){"a", "1", 1, 0};
    items[1] = (dirkv_item){"b", NULL, 0, 3600 * SECOND};
    items[2] = (dirkv_item){"c", "3", 1, 0};
    items[3] = (dirkv_item){"a", "later", 5, 0};
    OK(dirkv_upsert_items(b, "batch", items, 4, sizeof items[0], &revision, &err));
    holds(b, "batch", "a", "later", 5);
    holds(b, "batch", "b", NULL, 0);
    OK(dirkv_clock_now(b, &now, &err));
    OK(dirkv_get_item(b, "batch", "b", &val, &expires, &found, &err));
    CHECK(found == revision && expires > now && expires <= now + 3600 * SECOND);
    OK(dirkv_get_item(b, "batch", "c", &val, &expires, &found, &err));
    CHECK(found == revision && expires == 0);
    dirkv_buf_free(&val);

    /* Nothing of a bad batch is written. */
    items[0].val = "new";
    items[0].len = 3;
    items[3].key = "";
    SAYS(DIRKV_BAD_PARAMETER, "item 3", dirkv_upsert_items(b, "batch", items, 4, sizeof items[0], &revision, &err));
    items[3].key = NULL;
    SAYS(DIRKV_BAD_PARAMETER, "items[3].key", dirkv_upsert_items(b, "batch", items, 4, sizeof items[0], &revision, &err));
    items[3] = (dirkv_item){"d", NULL, 1, 0};
    SAYS(DIRKV_BAD_PARAMETER, "items[3].val", dirkv_upsert_items(b, "batch", items, 4, sizeof items[0], &revision, &err));
    items[3] = (dirkv_item){"d", "x", 1, -1};
    SAYS(DIRKV_BAD_PARAMETER, "item 3", dirkv_upsert_items(b, "batch", items, 4, sizeof items[0], &revision, &err));
    CHECK(revision == 0);
    holds(b, "batch", "a", "later", 5);

    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_items(b, "batch", items, 0, sizeof items[0], &revision, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_items(b, "batch", NULL, 0, sizeof items[0], &revision, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_items(b, "batch", NULL, 1, sizeof items[0], &revision, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_items(b, "batch", items, 1, 0, &revision, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_items(b, "batch", items, 1, sizeof items[0] - 1, &revision, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_items(b, "batch", items, 1, SIZE_MAX, &revision, &err));
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_upsert_items(b, "batch", items, 1000001, sizeof items[0], &revision, &err));
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_upsert_items(b, "batch", items, SIZE_MAX, sizeof items[0], &revision, &err));
}

/* A program compiled with a header of the future, whose item has one field more. */
static void larger_items(void) {
    struct {
        dirkv_item item;
        uint64_t more;
    } items[2];
    memset(items, 0, sizeof items);
    items[0].item = (dirkv_item){"f1", "1", 1, 0};
    items[1].item = (dirkv_item){"f2", "2", 1, 0};
    OK(dirkv_upsert_items(b, "future", &items[0].item, 2, sizeof items[0], &revision, &err));
    holds(b, "future", "f2", "2", 1);
    items[1].more = 1;
    SAYS(DIRKV_BAD_PARAMETER, "item 1", dirkv_upsert_items(b, "future", &items[0].item, 2, sizeof items[0], &revision, &err));
}

static void packed(void) {
    unsigned char block[1024];
    size_t len = pack(block, 0, DIRKV_ENTRY_PUT, "p1", "one", 0);
    size_t first = len;
    int64_t now = 0, expires = 0;
    dirkv_buf val;
    len = pack(block, len, DIRKV_ENTRY_PUT, "p2", "", 3600 * SECOND);
    len = pack(block, len, DIRKV_ENTRY_PUT, "p1", "later", 0);
    OK(dirkv_upsert_packed(b, "packed", block, len, &revision, &err));
    holds(b, "packed", "p1", "later", 5);
    OK(dirkv_clock_now(b, &now, &err));
    OK(dirkv_get_item(b, "packed", "p2", &val, &expires, &revision, &err));
    CHECK(val.len == 0 && expires > now);

    /* Blocks that are none: nothing of them is written. */
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_packed(b, "packed", NULL, 0, &revision, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_packed(b, "packed", NULL, 9, &revision, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_packed(b, "packed", block, 8, &revision, &err));
    SAYS(DIRKV_BAD_PARAMETER, "packed block", dirkv_upsert_packed(b, "packed", block, len - 1, &revision, &err));
    SAYS(DIRKV_BAD_PARAMETER, "packed block", dirkv_upsert_packed(b, "packed", block, first, &revision, &err));
    u32(block + 4, 2);
    SAYS(DIRKV_BAD_PARAMETER, "too many", dirkv_upsert_packed(b, "packed", block, len, &revision, &err));
    u32(block + 4, UINT32_MAX);
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_upsert_packed(b, "packed", block, len, &revision, &err));
    u32(block + 4, 0);
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_packed(b, "packed", block, 8, &revision, &err));
    u32(block + 4, 3);
    u32(block, 2);
    SAYS(DIRKV_BAD_PARAMETER, "layout", dirkv_upsert_packed(b, "packed", block, len, &revision, &err));
    u32(block, 1);
    u32(block + 8, DIRKV_ENTRY_LOCK);
    SAYS(DIRKV_BAD_PARAMETER, "kind", dirkv_upsert_packed(b, "packed", block, len, &revision, &err));
    u32(block + 8, DIRKV_ENTRY_PUT);
    u32(block + 8 + 8, UINT32_MAX);
    FAILS(DIRKV_BAD_PARAMETER, dirkv_upsert_packed(b, "packed", block, len, &revision, &err));
    holds(b, "packed", "p1", "later", 5);
}

/* The block of a listing, put into another bucket, keeps values and expiries. */
static void copied(void) {
    const uint8_t *block = NULL;
    size_t len = 0, i;
    dirkv_list *from = NULL, *to = NULL;
    OK(dirkv_get_items(b, "batch", NULL, 0, 0, &from, &err));
    OK(dirkv_list_packed(from, &block, &len, &err));
    OK(dirkv_upsert_packed(b, "copy", block, len, &revision, &err));
    OK(dirkv_get_items(b, "copy", NULL, 0, 0, &to, &err));
    CHECK(dirkv_list_len(to) == 3 && dirkv_list_len(from) == 3);
    for (i = 0; i < dirkv_list_len(from) && i < dirkv_list_len(to); i++) {
        dirkv_entry one, two;
        OK(dirkv_list_get(from, i, &one, sizeof one, &err));
        OK(dirkv_list_get(to, i, &two, sizeof two, &err));
        CHECK(strcmp(one.name, two.name) == 0 && one.len == two.len && two.revision == revision);
        CHECK(one.len == 0 || memcmp(one.val, two.val, one.len) == 0);
        /* The time left is counted anew from the instant of the put, some microseconds later. */
        CHECK(one.expires == 0 ? two.expires == 0 : two.expires >= one.expires && two.expires - one.expires < 60 * SECOND);
    }
    dirkv_list_free(from);
    dirkv_list_free(to);
    /* The names of a recursive listing are paths, which are no keys. */
    OK(dirkv_get_items(b, "", NULL, 0, DIRKV_RECURSIVE, &from, &err));
    OK(dirkv_list_packed(from, &block, &len, &err));
    SAYS(DIRKV_BAD_PARAMETER, "'/'", dirkv_upsert_packed(b, "copy", block, len, &revision, &err));
    dirkv_list_free(from);
    OK(dirkv_get_keys(b, "batch", NULL, 0, &from, &err));
    OK(dirkv_list_packed(from, &block, &len, &err));
    SAYS(DIRKV_BAD_PARAMETER, "kind", dirkv_upsert_packed(b, "copy", block, len, &revision, &err));
    dirkv_list_free(from);
}

/* The largest batch, from an array; one more is refused. */
static void many(void) {
    const size_t n = quick ? 2000 : 1000000;
    dirkv_item *items = calloc(n + 1, sizeof *items);
    char *keys = malloc((n + 1) * 8);
    dirkv_list *list = NULL;
    dirkv_entry entry;
    size_t i;
    for (i = 0; i <= n; i++) {
        snprintf(keys + i * 8, 8, "%07zu", i);
        items[i].key = keys + i * 8;
        items[i].val = "v";
        items[i].len = 1;
    }
    if (!quick) {
        FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_upsert_items(b, "many", items, n + 1, sizeof *items, &revision, &err));
        OK(dirkv_get_keys(b, "many", NULL, 0, &list, &err));
        CHECK(dirkv_list_len(list) == 0);
        dirkv_list_free(list);
    }
    OK(dirkv_upsert_items(b, "many", items, n, sizeof *items, &revision, &err));
    OK(dirkv_get_items(b, "many", NULL, 0, 0, &list, &err));
    CHECK(dirkv_list_len(list) == n);
    for (i = 0; i < n; i += 997) {
        OK(dirkv_list_get(list, i, &entry, sizeof entry, &err));
        CHECK(strcmp(entry.name, items[i].key) == 0 && entry.revision == revision && entry.len == 1);
    }
    dirkv_list_free(list);
    OK(dirkv_delete_bucket(b, "", "many", &err));
    free(keys);
    free(items);
}

/* 256 MiB in one batch are refused, a little less is not. */
static void heaviest(void) {
    dirkv_item items[5];
    char *val = calloc(64 * MIB, 1);
    int i;
    memset(items, 0, sizeof items);
    for (i = 0; i < 5; i++) {
        static const char *const keys[] = {"1", "2", "3", "4", "5"};
        items[i] = (dirkv_item){keys[i], val, 64 * MIB, 0};
    }
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_upsert_items(b, "heavy", items, 5, sizeof items[0], &revision, &err));
    FAILS(DIRKV_LIMIT_EXCEEDED, dirkv_upsert_items(b, "heavy", items, 4, sizeof items[0], &revision, &err));
    CHECK(revision == 0);
    FAILS(DIRKV_NOT_FOUND, dirkv_get_val(b, "heavy", "1", &(dirkv_buf){NULL, 0}, &err));
    items[3].len -= MIB;
    OK(dirkv_upsert_items(b, "heavy", items, 4, sizeof items[0], &revision, &err));
    holds(b, "heavy", "4", val, 63 * MIB);
    OK(dirkv_delete_bucket(b, "", "heavy", &err));
    free(val);
}

/* Small keys of a bucket with the longest path: memory would hold each with the whole of it. */
static void long_paths(void) {
    const size_t n = 33000;
    char *path = calloc(32 * 256 + 1, 1), name[256];
    dirkv_item *items = calloc(n, sizeof *items);
    size_t i;
    memset(name, 'x', 255);
    name[255] = '\0';
    for (i = 0; i < 32; i++) {
        strcat(path, i == 0 ? "" : "/");
        strcat(path, name);
    }
    for (i = 0; i < n; i++) {
        items[i].key = i % 2 == 0 ? "a" : "b";
    }
    SAYS(DIRKV_LIMIT_EXCEEDED, "path", dirkv_upsert_items(b, path, items, n, sizeof *items, &revision, &err));
    CHECK(revision == 0);
    OK(dirkv_upsert_items(b, path, items, 100, sizeof *items, &revision, &err));
    holds(b, path, "b", NULL, 0);
    free(items);
    free(path);
}

/* A listing of more than 1 GiB is refused; pages of it are not. */
static void longest_listing(void) {
    char *val = calloc(64 * MIB, 1), key[8];
    dirkv_list *list = NULL;
    int i;
    for (i = 0; i < 17; i++) {
        snprintf(key, sizeof key, "%d", 10 + i);
        OK(dirkv_upsert_val(b, "long", key, val, 64 * MIB, 0, &revision, &err));
    }
    SAYS(DIRKV_LIMIT_EXCEEDED, "listing", dirkv_get_items(b, "long", NULL, 0, 0, &list, &err));
    CHECK(list == NULL);
    OK(dirkv_get_items(b, "long", "20", 2, 0, &list, &err));
    CHECK(dirkv_list_len(list) == 2);
    dirkv_list_free(list);
    OK(dirkv_delete_bucket(b, "", "long", &err));
    free(val);
}

int main(int argc, char **argv) {
    quick = argc > 2;
    b = open_store(below(argv[1], "store"));
    small_values();
    sizes();
    largest();
    arrays();
    larger_items();
    packed();
    copied();
    long_paths();
    many();
    if (!quick) {
        heaviest();
        longest_listing();
    }
    OK(dirkv_check(b, &err));
    OK(dirkv_close(b, &err));
    return finished();
}
