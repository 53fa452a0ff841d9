/* Listings, views of their entries, and packed blocks. */

#include "check.h"

static dirkv_backend *b;

static uint32_t u32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t u64(const uint8_t *at) {
    return u32(at) | (uint64_t)u32(at + 4) << 32;
}

/* Decodes the packed block by what the header says, and compares it with the views of the same list. */
static void same_when_packed(const dirkv_list *list) {
    const uint8_t *block = NULL;
    size_t len = 0, at = 8, i;
    OK(dirkv_list_packed(list, &block, &len, &err));
    CHECK(len >= 8 && u32(block) == 1 && u32(block + 4) == dirkv_list_len(list));
    for (i = 0; i < dirkv_list_len(list); i++) {
        dirkv_entry entry;
        const uint8_t *fixed = block + at;
        OK(dirkv_list_get(list, i, &entry, sizeof entry, &err));
        CHECK(at % 8 == 0 && at + 32 <= len);
        CHECK(u32(fixed) == entry.kind && u32(fixed + 4) == entry.pid);
        CHECK(u32(fixed + 8) == entry.name_len && u32(fixed + 12) == entry.len);
        CHECK((int64_t)u64(fixed + 16) == entry.expires && u64(fixed + 24) == entry.revision);
        CHECK(memcmp(fixed + 32, entry.name, entry.name_len + 1) == 0 && strlen(entry.name) == entry.name_len);
        CHECK(entry.len == 0 || memcmp(fixed + 32 + entry.name_len + 1, entry.val, entry.len) == 0);
        at = (at + 32 + entry.name_len + 1 + entry.len + 7) / 8 * 8;
    }
    CHECK(at == len);
}

/* The list's entries as one text: names, those of buckets with a slash, separated by spaces. Frees the list. */
static const char *text(dirkv_list *list, uint32_t kind) {
    static char all[4096];
    size_t i, len = 0;
    all[0] = '\0';
    for (i = 0; i < dirkv_list_len(list); i++) {
        dirkv_entry entry;
        OK(dirkv_list_get(list, i, &entry, sizeof entry, &err));
        CHECK(entry.kind == kind || (kind == DIRKV_ENTRY_KEY && entry.kind == DIRKV_ENTRY_BUCKET));
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s%s", i == 0 ? "" : " ", entry.name,
                                entry.kind == DIRKV_ENTRY_BUCKET ? "/" : "");
    }
    same_when_packed(list);
    dirkv_list_free(list);
    return all;
}

static const char *keys(const char *bucket, const char *after, uint64_t limit) {
    dirkv_list *list = NULL;
    OK(dirkv_get_keys(b, bucket, after, limit, &list, &err));
    return text(list, DIRKV_ENTRY_KEY);
}

static const char *items(const char *bucket, const char *after, uint64_t limit, uint32_t flags) {
    dirkv_list *list = NULL;
    OK(dirkv_get_items(b, bucket, after, limit, flags, &list, &err));
    return text(list, DIRKV_ENTRY_ITEM);
}

#define SAME(list, wanted) \
    do { \
        const char *got = (list); \
        if (strcmp(got, (wanted)) != 0) { \
            fprintf(stderr, "%s: \"%s\"\n", #list, got); \
        } \
        CHECK(strcmp(got, (wanted)) == 0); \
    } while (0)

static void listings(void) {
    uint64_t fence;
    SAME(keys("", NULL, 0), "");
    SAME(keys("nowhere", NULL, 0), "");
    SAME(items("nowhere/at/all", NULL, 0, DIRKV_RECURSIVE), "");
    put(b, "l", "b", "a key and a bucket of one name");
    put(b, "l/b", "x", "1");
    put(b, "l/b/c", "y", "22");
    put(b, "l", "a", "333");
    put(b, "l", "b!", "sorts behind the bucket, which sorts by component");
    put(b, "l/d", "z", "");
    put(b, "m", "k", "v");
    SAME(keys("l", NULL, 0), "a b b/ b! d/");
    SAME(keys("l/b", NULL, 0), "c/ x");
    SAME(keys("", NULL, 0), "l/ m/");
    SAME(keys("l", "a", 0), "b b/ b! d/");
    SAME(keys("l", "b", 0), "b! d/");
    SAME(keys("l", "aaa, which is not there", 0), "b b/ b! d/");
    SAME(keys("l", "d", 0), "");
    SAME(keys("l", NULL, 1), "a");
    SAME(keys("l", NULL, 2), "a b b/");
    SAME(keys("l", "a", 100), "b b/ b! d/");
    /* A key and the bucket of its name stay together: one entry more than asked for; `after` skips both. */
    SAME(keys("l", "a", 1), "b b/");
    SAME(keys("l", "b", 1), "b!");
    SAME(keys("l", "b!", 1), "d/");
    SAME(items("l", NULL, 0, 0), "a b b!");
    SAME(items("l", "a", 1, 0), "b");
    SAME(items("l", NULL, 0, DIRKV_RECURSIVE), "a b b/c/y b/x b! d/z");
    SAME(items("l", "b/c/y", 2, DIRKV_RECURSIVE), "b/x b!");
    SAME(items("", NULL, 0, DIRKV_RECURSIVE), "l/a l/b l/b/c/y l/b/x l/b! l/d/z m/k");
    SAME(items("", NULL, 0, 0), "");
    /* The locks' bucket shows nowhere. */
    OK(dirkv_acquire_lock(b, "t", SECOND, 0, &fence, &err));
    SAME(keys("", NULL, 0), "l/ m/");
    SAME(items("", NULL, 2, DIRKV_RECURSIVE), "l/a l/b");
    OK(dirkv_release_lock(b, "t", fence, &err));
    SAYS(DIRKV_BAD_PARAMETER, "flags", dirkv_get_items(b, "l", NULL, 0, 2, &(dirkv_list *){NULL}, &err));
    SAYS(DIRKV_BAD_PARAMETER, "flags", dirkv_get_items(b, "l", NULL, 0, UINT32_MAX, &(dirkv_list *){NULL}, &err));
    OK(dirkv_delete_bucket(b, "l", "b", &err));
    SAME(keys("l", NULL, 0), "a b b! d/");
}

static void views(void) {
    struct {
        dirkv_entry entry;
        uint64_t more;
    } future;
    dirkv_list *list = NULL;
    dirkv_entry entry;
    const uint8_t *data = (const uint8_t *)"";
    size_t len = 5;
    uint64_t revision = put(b, "views", "k", "value");
    OK(dirkv_get_items(b, "views", NULL, 0, 0, &list, &err));
    CHECK(dirkv_list_len(list) == 1);
    OK(dirkv_list_get(list, 0, &entry, sizeof entry, &err));
    CHECK(entry.kind == DIRKV_ENTRY_ITEM && entry.pid == 0 && entry.expires == 0 && entry.revision == revision);
    CHECK(strcmp(entry.name, "k") == 0 && entry.len == 5 && memcmp(entry.val, "value", 5) == 0);
    SAYS(DIRKV_BAD_PARAMETER, "index", dirkv_list_get(list, 1, &entry, sizeof entry, &err));
    CHECK(entry.name == NULL && entry.val == NULL && entry.len == 0 && entry.revision == 0);
    SAYS(DIRKV_BAD_PARAMETER, "index", dirkv_list_get(list, SIZE_MAX, &entry, sizeof entry, &err));
    SAYS(DIRKV_BAD_PARAMETER, "entry_size", dirkv_list_get(list, 0, &entry, sizeof entry - 1, &err));
    SAYS(DIRKV_BAD_PARAMETER, "entry_size", dirkv_list_get(list, 0, &entry, 0, &err));
    SAYS(DIRKV_BAD_PARAMETER, "entry_size", dirkv_list_get(list, 0, &entry, SIZE_MAX, &err));
    SAYS(DIRKV_BAD_PARAMETER, "entry", dirkv_list_get(list, 0, NULL, sizeof entry, &err));
    SAYS(DIRKV_BAD_PARAMETER, "list", dirkv_list_get(NULL, 0, &entry, sizeof entry, &err));
    /* A caller of the future has a larger view: what this version doesn't know is zero. */
    future.more = 7;
    OK(dirkv_list_get(list, 0, &future.entry, sizeof future, &err));
    CHECK(future.more == 0 && future.entry.len == 5);
    FAILS(DIRKV_BAD_PARAMETER, dirkv_list_packed(NULL, &data, &len, &err));
    CHECK(data == NULL && len == 0);
    FAILS(DIRKV_BAD_PARAMETER, dirkv_list_packed(list, NULL, &len, &err));
    FAILS(DIRKV_BAD_PARAMETER, dirkv_list_packed(list, &data, NULL, &err));
    dirkv_list_free(list);
    CHECK(dirkv_list_len(NULL) == 0);
}

int main(int argc, char **argv) {
    (void)argc;
    b = open_store(below(argv[1], "store"));
    listings();
    views();
    OK(dirkv_close(b, &err));
    return finished();
}
