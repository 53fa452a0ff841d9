/* The hot paths whose instructions tests/counts.rs counts: those of `counted`, and of all that it calls. Each path proves by
   the counters of the store that it went where its name says. */

#include "../check.h"

#define ITEMS 1000
#define ODD 400 /* the last block may hold a single value */
#define UPSERTS 200
#define LISTS 10

/* One path. */
typedef struct {
    const char *name;
    void (*prepare)(void);
    void (*call)(size_t i);
    size_t calls;
    size_t items;                   /* of each call */
    uint64_t tables;                /* of the store */
    uint64_t least_hits, most_hits; /* of the cache of blocks, by all calls together; it never misses */
} path;

static dirkv_backend *b;
static char present[2 * ITEMS][16], absent[ITEMS][16]; /* an absent key sorts between two that are present */
static char val[1024], got[1024];
static size_t val_len, got_len;
static dirkv_item batch[ITEMS];
static dirkv_status wanted, unwanted; /* what each call should return; what one returned instead */
static uint64_t revision, sum;

static void returned(dirkv_status status) {
    if (status != wanted) {
        unwanted = status;
    }
}

static void get(const char *key) {
    returned(dirkv_get_val_into(b, "bucket", key, got, sizeof got, &got_len, NULL));
}

static void get_present(size_t i) {
    get(present[i]);
}

static void get_odd(size_t i) {
    get(present[2 * i + 1]);
}

static void get_absent(size_t i) {
    get(absent[i]);
}

static void upsert(size_t i) {
    returned(dirkv_upsert_val(b, "bucket", present[ITEMS + i], val, val_len, 0, &revision, NULL));
}

static void upsert_batch(size_t i) {
    (void)i;
    returned(dirkv_upsert_items(b, "bucket", batch, ITEMS, sizeof batch[0], &revision, NULL));
}

static void walk(dirkv_list *list) {
    dirkv_entry entry;
    size_t i, len = dirkv_list_len(list);
    for (i = 0; i < len; i++) {
        returned(dirkv_list_get(list, i, &entry, sizeof entry, NULL));
        sum += entry.name_len + entry.len;
    }
    dirkv_list_free(list);
}

static void get_items(size_t i) {
    dirkv_list *list;
    (void)i;
    returned(dirkv_get_items(b, "bucket", NULL, 0, 0, &list, NULL));
    walk(list);
}

static void get_keys(size_t i) {
    dirkv_list *list;
    (void)i;
    returned(dirkv_get_keys(b, "bucket", NULL, 0, &list, NULL));
    walk(list);
}

/* The first items, of `len` bytes, as one batch; `batch` then holds the second ones. */
static void fill(size_t len) {
    size_t i, part;
    val_len = len;
    for (part = 0; part < 2; part++) {
        for (i = 0; i < ITEMS; i++) {
            batch[i].key = present[part * ITEMS + i];
            batch[i].val = val;
            batch[i].len = len;
        }
        if (part == 0) {
            OK(dirkv_upsert_items(b, "bucket", batch, ITEMS, sizeof batch[0], &revision, &err));
        }
    }
}

static void fill_memtable(void) {
    fill(sizeof val);
    get_present(0);
}

/* Every second key is read once, which brings in all blocks: but for the last, none holds a single value of this size. */
static void fill_blocks(void) {
    size_t i;
    fill(sizeof val);
    OK(dirkv_compact(b, &err));
    for (i = 0; i < ITEMS; i += 2) {
        get_present(i);
    }
}

/* Rows are kept once as many sets are in use as so many keys need. */
static void fill_rows(void) {
    size_t i;
    fill(sizeof val);
    OK(dirkv_compact(b, &err));
    for (i = 0; i < 40 * ITEMS; i++) {
        get_present(i % ITEMS);
    }
}

static void fill_without(void) {
    size_t i;
    fill(sizeof val);
    OK(dirkv_compact(b, &err));
    wanted = DIRKV_NOT_FOUND;
    for (i = 0; i < ITEMS; i++) {
        get_absent(i);
    }
}

static void fill_small(void) {
    fill(200);
    upsert(ITEMS - 1);
}

static void fill_list(void) {
    fill(200);
    OK(dirkv_compact(b, &err));
    get_items(0);
    get_keys(0);
    sum = 0;
}

static const path paths[] = {
    {"row", fill_rows, get_present, ITEMS, 1, 1, 0, ITEMS / 50},
    {"block", fill_blocks, get_odd, ODD, 1, 1, ODD, ODD},
    {"memtable", fill_memtable, get_present, ITEMS, 1, 0, 0, 0},
    {"absent", fill_without, get_absent, ITEMS, 1, 1, 0, ITEMS / 10},
    {"upsert", fill_small, upsert, UPSERTS, 1, 0, 0, 0},
    {"batch", fill_small, upsert_batch, 1, ITEMS, 0, 0, 0},
    {"items", fill_list, get_items, LISTS, ITEMS, 1, LISTS, LISTS * ITEMS},
    {"keys", fill_list, get_keys, LISTS, ITEMS, 1, LISTS, LISTS * ITEMS},
};

/* Not inlined, for callgrind knows it by its name. Its loop is counted too: a few instructions a call. */
__attribute__((noinline)) void counted(void (*call)(size_t), size_t calls);

void counted(void (*call)(size_t), size_t calls) {
    size_t i;
    for (i = 0; i < calls; i++) {
        call(i);
    }
}

static uint64_t counter(const char *name) {
    char field[32], text[1024] = "";
    const char *at;
    uint64_t number = UINT64_MAX;
    dirkv_buf json;
    snprintf(field, sizeof field, "\"%s\":", name);
    OK(dirkv_stats(b, &json, &err));
    CHECK(json.len < sizeof text);
    memcpy(text, json.data, json.len < sizeof text ? json.len : 0);
    at = strstr(text, field);
    CHECK(at != NULL);
    if (at != NULL) {
        number = strtoull(at + strlen(field), NULL, 10);
    }
    dirkv_buf_free(&json);
    return number;
}

static void open_alone(const char *folder) {
    dirkv_params *params = dirkv_params_new();
    OK(dirkv_params_set(params, "path", below(folder, "store"), &err));
    OK(dirkv_params_set(params, "background", "off", &err));
    OK(dirkv_open(params, &b, &err));
    dirkv_params_free(params);
    if (b == NULL) {
        exit(1);
    }
}

static void go(const path *path) {
    uint64_t hits, misses;
    path->prepare();
    hits = counter("cache_hits");
    misses = counter("cache_misses");
    counted(path->call, path->calls);
    hits = counter("cache_hits") - hits;
    CHECK(counter("cache_misses") == misses);
    CHECK(path->least_hits <= hits && hits <= path->most_hits);
    CHECK(counter("tables") == path->tables);
    CHECK(unwanted == DIRKV_OK);
    CHECK(path->prepare != fill_list || sum == path->calls * ITEMS * (path->call == get_items ? 7 + val_len : 7));
}

int main(int argc, char **argv) {
    size_t i;
    if (argc != 3) {
        return 1;
    }
    memset(val, 'v', sizeof val);
    for (i = 0; i < 2 * ITEMS; i++) {
        snprintf(present[i], sizeof present[i], "key%04d", (int)i);
    }
    for (i = 0; i < ITEMS; i++) {
        snprintf(absent[i], sizeof absent[i], "key%04d-", (int)i);
    }
    open_alone(argv[1]);
    for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (strcmp(paths[i].name, argv[2]) == 0) {
            go(&paths[i]);
            printf("%zu\n", paths[i].calls * paths[i].items);
        }
    }
    OK(dirkv_close(b, &err));
    return finished();
}
