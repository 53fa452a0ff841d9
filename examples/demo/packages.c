/* Loads the list of installed packages, one key a package, and compares what comes back with the file, byte for byte. */

#include "demo.h"

#include <unistd.h>

enum { BATCH = 100 };

typedef struct {
    const char *text; /* in the file's memory */
    size_t len;
    char *path;      /* "libs/zlib1g:amd64", below the bucket "packages" */
    char *bucket;    /* "packages/libs" */
    const char *key; /* the path's end: a name alone may be installed for several architectures */
} package;

static char *read_file(const char *name, size_t *len) {
    FILE *file = fopen(name, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        die("can't read %s", name);
    }
    const long size = ftell(file);
    char *text = size > 0 ? malloc((size_t)size) : NULL;
    rewind(file);
    if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size || fclose(file) != 0) {
        die("can't read %s", name);
    }
    *len = (size_t)size;
    return text;
}

/* A field's value, as a new text; the fallback if the package has no such field. */
static char *field(const package *p, const char *name, const char *fallback) {
    const size_t name_len = strlen(name);
    const char *line = p->text, *end = p->text + p->len;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL) {
            stop = end;
        }
        if ((size_t)(stop - line) > name_len && memcmp(line, name, name_len) == 0) {
            return strndup(line + name_len, (size_t)(stop - line) - name_len);
        }
        line = stop + 1;
    }
    return strdup(fallback);
}

static void name(package *p) {
    char *package_name = field(p, "Package: ", "");
    char *architecture = field(p, "Architecture: ", "none");
    char *section = field(p, "Section: ", "none"); /* "libs" or "non-free/libs" */
    int made = asprintf(&p->path, "%s/%s:%s", section, package_name, architecture) > 0;
    made = made && asprintf(&p->bucket, "packages/%s", section) > 0;
    if (!made || package_name[0] == '\0') {
        die("a package without a name: %.*s", (int)(p->len < 60 ? p->len : 60), p->text);
    }
    p->key = p->path + strlen(section) + 1;
    free(package_name);
    free(architecture);
    free(section);
}

/* Packages are parted by empty lines. */
static package *parse(const char *text, size_t len, size_t *n) {
    package *found = NULL;
    size_t bytes = 0, room = 0;
    *n = 0;
    for (size_t at = 0; at < len;) {
        if (text[at] == '\n') {
            at++;
            bytes++;
            continue;
        }
        const char *end = memmem(text + at, len - at, "\n\n", 2);
        const package p = {.text = text + at, .len = end != NULL ? (size_t)(end - text) + 1 - at : len - at};
        if (*n == room) {
            room = room * 2 + 64;
            found = realloc(found, room * sizeof *found);
            if (found == NULL) {
                die("no memory");
            }
        }
        found[*n] = p;
        name(&found[(*n)++]);
        at += p.len;
        bytes += p.len;
    }
    if (bytes != len || *n == 0) {
        die("the file has %zu bytes, its %zu packages and empty lines %zu", len, *n, bytes);
    }
    return found;
}

static int by_bucket(const void *a, const void *b) {
    const package *x = a, *y = b;
    const int order = strcmp(x->bucket, y->bucket);
    return order != 0 ? order : strcmp(x->key, y->key);
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const package *)a)->path, ((const package *)b)->path);
}

/* On a terminal one line that grows, else a line for each quarter. */
static void progress(size_t done, size_t before, size_t all) {
    if (isatty(STDOUT_FILENO)) {
        printf("\r  %zu of %zu", done, all);
    } else if (done * 4 / all > before * 4 / all) {
        printf("  %zu of %zu\n", done, all);
    }
    if (done == all && isatty(STDOUT_FILENO)) {
        printf("\n");
    }
    fflush(stdout);
}

static void load(dirkv_backend *b, package *all, size_t n, size_t bytes) {
    size_t batches = 0;
    const int64_t begin = monotonic();
    for (size_t at = 0; at < n;) {
        dirkv_item items[BATCH] = {{0}};
        size_t count = 0;
        uint64_t revision;
        while (count < BATCH && at + count < n && strcmp(all[at + count].bucket, all[at].bucket) == 0) {
            const package *p = &all[at + count];
            items[count++] = (dirkv_item){.key = p->key, .val = p->text, .len = p->len};
        }
        ok(dirkv_upsert_items(b, all[at].bucket, items, count, sizeof items[0], &revision, &err), "upsert a batch");
        progress(at + count, at, n);
        at += count;
        batches++;
    }
    const double seconds = (double)(monotonic() - begin) / 1e9;
    printf("  %zu packages, %.0f KB, in %zu atomic, durable batches: %.0f ms, %.0f packages/s\n", n, (double)bytes / 1e3,
           batches, seconds * 1e3, (double)n / seconds);
}

/* Lists the sections and, below them, theirs ("non-free" has "libs"); returns how many packages they hold. */
static size_t sections(dirkv_backend *b, const char *bucket, int *column) {
    dirkv_list *list;
    size_t keys = 0, below = 0;
    ok(dirkv_get_keys(b, bucket, NULL, 0, &list, &err), "list names");
    for (size_t i = 0; i < dirkv_list_len(list); i++) {
        dirkv_entry entry;
        char *path;
        ok(dirkv_list_get(list, i, &entry, sizeof entry, &err), "list names");
        if (entry.kind == DIRKV_ENTRY_KEY) {
            keys++;
        } else if (asprintf(&path, "%s/%s", bucket, entry.name) > 0) {
            below += sections(b, path, column);
            free(path);
        }
    }
    dirkv_list_free(list);
    if (keys > 0) {
        *column += printf("%s%s %zu", *column == 0 ? "  " : ", ", bucket + strlen("packages/"), keys);
        if (*column > 100) {
            printf("\n");
            *column = 0;
        }
    }
    return keys + below;
}

static void read_each(dirkv_backend *b, const package *all, size_t n) {
    size_t cap = 0, len;
    for (size_t i = 0; i < n; i++) {
        cap = all[i].len > cap ? all[i].len : cap;
    }
    char *val = malloc(cap);
    const int64_t begin = monotonic();
    for (size_t i = 0; i < n && val != NULL; i++) {
        ok(dirkv_get_val_into(b, all[i].bucket, all[i].key, val, cap, &len, &err), "get");
        if (len != all[i].len || memcmp(val, all[i].text, len) != 0) {
            die("%s came back changed", all[i].path);
        }
    }
    const double seconds = (double)(monotonic() - begin) / 1e9;
    if (val == NULL) {
        die("no memory");
    }
    free(val);
    printf("  read back one by one: %zu values, every byte as in the file, %.2f us each\n", n, seconds / (double)n * 1e6);
}

static void read_list(dirkv_backend *b, package *all, size_t n) {
    dirkv_list *list;
    size_t bytes = 0;
    const int64_t begin = monotonic();
    ok(dirkv_get_items(b, "packages", NULL, 0, DIRKV_RECURSIVE, &list, &err), "list items");
    const double seconds = (double)(monotonic() - begin) / 1e9;
    if (dirkv_list_len(list) != n) {
        die("%zu packages are listed, %zu were put", dirkv_list_len(list), n);
    }
    qsort(all, n, sizeof *all, by_path);
    for (size_t i = 0; i < n; i++) {
        dirkv_entry entry;
        ok(dirkv_list_get(list, i, &entry, sizeof entry, &err), "list items");
        const package wanted = {.path = (char *)entry.name};
        const package *p = bsearch(&wanted, all, n, sizeof *all, by_path);
        if (p == NULL || entry.len != p->len || memcmp(entry.val, p->text, entry.len) != 0) {
            die("%s is listed with other bytes", entry.name);
        }
        bytes += entry.len;
    }
    dirkv_list_free(list);
    printf("  read back as one list: %zu values, every byte as in the file, %.0f MB/s\n", n,
           (double)bytes / 1e6 / seconds);
}

void packages(const char *path, const char *status_file) {
    size_t len, n;
    int column = 0;
    heading("Packages: one key for each that this machine's package manager knows");
    char *text = read_file(status_file, &len);
    package *all = parse(text, len, &n);
    qsort(all, n, sizeof *all, by_bucket);
    dirkv_backend *b = open_store(path);
    load(b, all, n, len);
    const size_t listed = sections(b, "packages", &column);
    printf("%s", column > 0 ? "\n" : "");
    if (listed != n) {
        die("the sections hold %zu packages, %zu were put", listed, n);
    }
    read_each(b, all, n);
    read_list(b, all, n);
    close_store(b);
    for (size_t i = 0; i < n; i++) {
        free(all[i].path);
        free(all[i].bucket);
    }
    free(all);
    free(text);
}
