/* What the chapters of the demonstration share. */

#ifndef DEMO_H
#define DEMO_H

#include <dirkv.h>

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define SECOND INT64_C(1000000000)

/* Every call writes its error here, by `&err`; ok and refused look at it. */
extern dirkv_error *err;

/* Ends the demonstration unless the call succeeded. */
void ok(dirkv_status status, const char *what);
/* Ends it unless the call was refused in this way. Returns what the library said, until the next call of it. */
const char *refused(dirkv_status wanted, dirkv_status status, const char *what);
/* Something is off: says so and ends the process with 1. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

void heading(const char *text);
/* The clock that never steps, the same in every process. */
int64_t monotonic(void);
void sleep_ns(int64_t ns);
dirkv_backend *open_store(const char *path);
void close_store(dirkv_backend *b);
/* Runs `body` in a process of its own, which opens the store itself: a child must not use its parent's handles. */
pid_t child(void (*body)(const char *path, void *shared), const char *path, void *shared);
void wait_for(pid_t pid, const char *who);
/* Memory that the children share with us, zeroed. */
void *shared_memory(size_t size);

/* The chapters, each with handles of its own. */
void packages(const char *path, const char *status_file);
void values(const char *path);
void pass_a_lock(const char *path);
void count_together(const char *path);
void kill_a_writer(const char *path);
void show_directory(const char *path);

#endif
