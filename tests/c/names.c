/* Every class of bad name through every call that takes one; the longest legal ones work. */

#include "check.h"

enum { BUCKET = 1, KEY = 2, TOKEN = 4, PARENT = 8, CHILD = 16, AFTER = 32, ITEM = 64 };

/* What the next call is made with; the one under test is bad, the others are good. */
static const char *bucket, *key, *token, *parent, *child, *after, *item;

static dirkv_backend *b;
static uint64_t number;
static dirkv_buf buf;
static dirkv_list *list;

static dirkv_status create(void) { return dirkv_create_val(b, bucket, key, "v", 1, 0, &number, &err); }
static dirkv_status upsert(void) { return dirkv_upsert_val(b, bucket, key, "v", 1, 0, &number, &err); }
static dirkv_status swap(void) { return dirkv_compare_and_swap_val(b, bucket, key, "v", 1, "v", 1, 0, &number, &err); }
static dirkv_status put_if(void) { return dirkv_put_if_revision(b, bucket, key, "v", 1, 0, 0, &number, &err); }
static dirkv_status delete_if(void) { return dirkv_delete_if_revision(b, bucket, key, 1, &err); }
static dirkv_status touch(void) { return dirkv_touch(b, bucket, key, 0, &number, &err); }
static dirkv_status exists(void) { return dirkv_exists(b, bucket, key, &(int32_t){0}, &err); }
static dirkv_status get_val(void) { return dirkv_get_val(b, bucket, key, &buf, &err); }
static dirkv_status get_into(void) { return dirkv_get_val_into(b, bucket, key, NULL, 0, &(size_t){0}, &err); }
static dirkv_status get_item(void) { return dirkv_get_item(b, bucket, key, &buf, &(int64_t){0}, &number, &err); }
static dirkv_status get_keys(void) { return dirkv_get_keys(b, bucket, after, 0, &list, &err); }
static dirkv_status get_items(void) { return dirkv_get_items(b, bucket, after, 0, 0, &list, &err); }
static dirkv_status delete_key(void) { return dirkv_delete_key(b, bucket, key, &err); }
static dirkv_status delete_bucket(void) { return dirkv_delete_bucket(b, parent, child, &err); }
static dirkv_status acquire(void) { return dirkv_acquire_lock(b, token, SECOND, 0, &number, &err); }
static dirkv_status release(void) { return dirkv_release_lock(b, token, 0, &err); }
static dirkv_status renew(void) { return dirkv_renew_lock(b, token, 1, SECOND, &err); }

static dirkv_status upsert_items(void) {
    dirkv_item items[2];
    memset(items, 0, sizeof items);
    items[0].key = "good";
    items[1].key = item;
    return dirkv_upsert_items(b, bucket, items, 2, sizeof items[0], &number, &err);
}

/* One entry of kind PUT, written by hand. */
static dirkv_status upsert_packed(void) {
    static unsigned char block[8 + 32 + 2048];
    size_t len = strlen(item), end = (8 + 32 + len + 1 + 7) / 8 * 8;
    memset(block, 0, sizeof block);
    block[0] = 1;
    block[4] = 1;
    block[8 + 8] = (unsigned char)(len & 0xff);
    block[8 + 9] = (unsigned char)(len >> 8);
    memcpy(block + 8 + 32, item, len);
    return dirkv_upsert_packed(b, bucket, block, end, &number, &err);
}

static const struct {
    const char *name;
    dirkv_status (*call)(void);
    int takes;
} CALLS[] = {
    {"create_val", create, BUCKET | KEY},
    {"upsert_val", upsert, BUCKET | KEY},
    {"compare_and_swap_val", swap, BUCKET | KEY},
    {"put_if_revision", put_if, BUCKET | KEY},
    {"delete_if_revision", delete_if, BUCKET | KEY},
    {"touch", touch, BUCKET | KEY},
    {"exists", exists, BUCKET | KEY},
    {"get_val", get_val, BUCKET | KEY},
    {"get_val_into", get_into, BUCKET | KEY},
    {"get_item", get_item, BUCKET | KEY},
    {"get_keys", get_keys, BUCKET | AFTER},
    {"get_items", get_items, BUCKET | AFTER},
    {"delete_key", delete_key, BUCKET | KEY},
    {"delete_bucket", delete_bucket, PARENT | CHILD},
    {"acquire_lock", acquire, TOKEN},
    {"release_lock", release, TOKEN},
    {"renew_lock", renew, TOKEN},
    {"upsert_items", upsert_items, BUCKET | ITEM},
    {"upsert_packed", upsert_packed, BUCKET | ITEM},
};

static const struct {
    int which;
    const char **argument;
    const char *label;
} ARGUMENTS[] = {
    {BUCKET, &bucket, "bucket"}, {KEY, &key, "key"},       {TOKEN, &token, "token"}, {PARENT, &parent, "parent"},
    {CHILD, &child, "bucket"},   {AFTER, &after, "after"}, {ITEM, &item, "key"},
};

/* With room for one character more. */
static char *repeat(const char *what, int times) {
    char *text = calloc((size_t)times * strlen(what) + 2, 1);
    while (text != NULL && times-- > 0) {
        strcat(text, what);
    }
    return text;
}

static void all_good(void) {
    bucket = "bucket";
    key = "key";
    token = "token";
    parent = "parent";
    child = "child";
    after = "after";
    item = "item";
}

/* The name must be refused, and named, by each call that takes one of this kind. */
static void refused(int which, const char *name, const char *rule) {
    size_t i, j;
    for (i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        for (j = 0; j < sizeof ARGUMENTS / sizeof ARGUMENTS[0]; j++) {
            const char *message;
            dirkv_status status;
            char what[512];
            if ((CALLS[i].takes & which & ARGUMENTS[j].which) == 0) {
                continue;
            }
            if (name == NULL && (ARGUMENTS[j].which & (AFTER | ITEM)) != 0) {
                continue; /* NULL is allowed for `after`; that of an item is tested elsewhere */
            }
            all_good();
            *ARGUMENTS[j].argument = name;
            list = NULL;
            status = CALLS[i].call();
            message = dirkv_error_message(err);
            checks++;
            if (status != DIRKV_BAD_PARAMETER || strstr(message, ARGUMENTS[j].label) == NULL || strstr(message, rule) == NULL) {
                snprintf(what, sizeof what, "%s with a bad %s (%.40s): %s: \"%s\" should name it and say \"%s\"", CALLS[i].name,
                         ARGUMENTS[j].label, name == NULL ? "NULL" : name, dirkv_status_name(status), message, rule);
                fail(__FILE__, __LINE__, what);
            }
            dirkv_error_free(err);
            err = NULL;
            dirkv_list_free(list);
        }
    }
}

static void bad_names(void) {
    const int components = BUCKET | PARENT;
    const int single = KEY | TOKEN | CHILD | AFTER | ITEM;
    char *x256 = repeat("x", 256), *x1025 = repeat("x", 1025), *deep = repeat("a/", 32), *umlauts = repeat("\xc3\xa4", 128);

    refused(components | single, NULL, "NULL");
    refused(single, "", "empty");
    refused(components, "a//b", "empty");
    refused(components, "/a", "empty");
    refused(components, "a/", "empty");
    refused(single, "a/b", "'/'");
    refused(components | single, ".", "");
    refused(components | single, "..", "");
    refused(components, "a/.", "\".\"");
    refused(components, "a/..", "\"..\"");
    refused(components, "a/../b", "\"..\"");
    refused(components, ".hidden", "reserved");
    refused(components, ".locks", "reserved");
    refused(components | single, "\n", "control character");
    refused(components | single, "a\x01" "b", "control character");
    refused(components | single, "a\x7f", "control character");
    refused(components | single, "a\xc2\x85", "control character");
    refused(components | single, "\xff", "UTF-8");
    refused(components | single, "a\xc3", "UTF-8");
    refused(components | single, "\xed\xa0\x80", "UTF-8");
    refused(components | single, "\xc0\x80", "UTF-8");
    refused(components | TOKEN | CHILD, x256, "255");
    refused(components | TOKEN | CHILD, umlauts, "255");
    refused(KEY | AFTER | ITEM, x1025, "1024");
    strcat(deep, "a");
    refused(components, deep, "32");
    free(x256);
    free(x1025);
    free(deep);
    free(umlauts);
}

/* A root bucket may not begin with a dot; the child of the root neither, the child of another bucket may. */
static void dots(void) {
    SAYS(DIRKV_BAD_PARAMETER, "reserved", dirkv_delete_bucket(b, "", ".x", &err));
    SAYS(DIRKV_NOT_FOUND, ".x", dirkv_delete_bucket(b, "a", ".x", &err));
    put(b, "a/.x", ".k", "dots inside are names like others");
    put(b, "", ".k", "a key of the root too");
    OK(dirkv_delete_bucket(b, "a", ".x", &err));
}

static void longest(void) {
    char *component = repeat("x", 255), *long_key = repeat("k", 1024), *path, *deepest = repeat("a/", 31);
    dirkv_entry entry;
    uint64_t fence = 0;
    int i;
    strcat(deepest, "a");
    put(b, deepest, long_key, "deep");
    holds(b, deepest, long_key, "deep", 4);
    path = calloc(32 * 256 + 1, 1);
    for (i = 0; i < 32; i++) {
        strcat(path, i == 0 ? "" : "/");
        strcat(path, component);
    }
    put(b, path, long_key, "long");
    holds(b, path, long_key, "long", 4);
    OK(dirkv_get_items(b, path, NULL, 0, 0, &list, &err));
    OK(dirkv_list_get(list, 0, &entry, sizeof entry, &err));
    CHECK(entry.name_len == 1024 && strcmp(entry.name, long_key) == 0);
    dirkv_list_free(list);
    OK(dirkv_get_items(b, "", NULL, 0, DIRKV_RECURSIVE, &list, &err));
    OK(dirkv_list_get(list, dirkv_list_len(list) - 1, &entry, sizeof entry, &err));
    CHECK(entry.name_len == 32 * 256 + 1024 && strncmp(entry.name, path, 32 * 256 - 1) == 0);
    dirkv_list_free(list);
    OK(dirkv_acquire_lock(b, component, SECOND, 0, &fence, &err));
    OK(dirkv_release_lock(b, component, fence, &err));
    /* The deepest bucket has no room for another. */
    SAYS(DIRKV_BAD_PARAMETER, "32", dirkv_delete_bucket(b, path, "a", &err));
    put(b, "\xc3\xa4\xe2\x82\xac/\xf0\x9f\x98\x80", "\xe6\xbc\xa2 \\ \"'<>|*?:", "any other character is welcome");
    free(component);
    free(long_key);
    free(deepest);
    free(path);
}

int main(int argc, char **argv) {
    (void)argc;
    b = open_store(below(argv[1], "store"));
    put(b, "bucket", "key", "v");
    bad_names();
    dots();
    longest();
    OK(dirkv_check(b, &err));
    OK(dirkv_close(b, &err));
    return finished();
}
