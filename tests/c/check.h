/* What the C tests share: a call, what it should return, and what its error should say. */

#ifndef CHECK_H
#define CHECK_H

#include <dirkv.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every call below writes its error here, by `&err`. */
static dirkv_error *err;
static int failures;
static long checks;

#define SECOND INT64_C(1000000000)

static inline void fail(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    if (++failures >= 20) {
        exit(1);
    }
}

/* Looks at what a call returned and at its error object; text may be NULL. Leaves err NULL. */
static inline void expect(dirkv_status wanted, const char *text, dirkv_status got, const char *call, const char *file, int line) {
    const char *message = dirkv_error_message(err);
    char what[4096];
    checks++;
    if (got != wanted) {
        snprintf(what, sizeof what, "%s: %s instead of %s: %s", call, dirkv_status_name(got), dirkv_status_name(wanted), message);
        fail(file, line, what);
    } else if (dirkv_error_code(err) != got || (err == NULL) != (got == DIRKV_OK)) {
        snprintf(what, sizeof what, "%s: status %s, but the error says %s", call, dirkv_status_name(got),
                 dirkv_status_name(dirkv_error_code(err)));
        fail(file, line, what);
    } else if (got != DIRKV_OK && message[0] == '\0') {
        fail(file, line, "an error without a message");
    } else if (text != NULL && strstr(message, text) == NULL) {
        snprintf(what, sizeof what, "%s: the message lacks \"%s\": %s", call, text, message);
        fail(file, line, what);
    }
    dirkv_error_free(err);
    err = NULL;
}

/* The call must succeed. */
#define OK(call) expect(DIRKV_OK, NULL, (call), #call, __FILE__, __LINE__)
/* The call must fail with this status. */
#define FAILS(status, call) expect((status), NULL, (call), #call, __FILE__, __LINE__)
/* The same, and its message must contain the text. */
#define SAYS(status, text, call) expect((status), (text), (call), #call, __FILE__, __LINE__)
/* The condition must hold. */
#define CHECK(condition) (checks++, (condition) ? (void)0 : fail(__FILE__, __LINE__, #condition))

/* A new path below the folder that the program was given; the text is never freed. */
static inline const char *below(const char *folder, const char *name) {
    static char paths[8][4096];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* The end of main. */
static inline int finished(void) {
    if (failures == 0 && checks == 0) {
        fprintf(stderr, "nothing was checked\n");
        return 1;
    }
    return failures == 0 ? 0 : 1;
}

/* A store, opened with all defaults. */
static inline dirkv_backend *open_store(const char *path) {
    dirkv_backend *b = NULL;
    OK(dirkv_open_path(path, &b, &err));
    if (b == NULL) {
        exit(1);
    }
    return b;
}

/* A value that should be there, byte for byte. */
static inline void holds(dirkv_backend *b, const char *bucket, const char *key, const void *val, size_t len) {
    dirkv_buf buf;
    OK(dirkv_get_val(b, bucket, key, &buf, &err));
    CHECK(buf.len == len && (len == 0 || (buf.data != NULL && memcmp(buf.data, val, len) == 0)));
    dirkv_buf_free(&buf);
}

/* Puts a text for ever. */
static inline uint64_t put(dirkv_backend *b, const char *bucket, const char *key, const char *text) {
    uint64_t revision = 0;
    OK(dirkv_upsert_val(b, bucket, key, text, strlen(text), 0, &revision, &err));
    CHECK(revision > 0);
    return revision;
}

#endif
