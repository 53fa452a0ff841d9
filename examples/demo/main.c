/* What dirkv does on real data, with several real processes: see the chapters, one file each. */

#include "demo.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

dirkv_error *err;

void die(const char *format, ...) {
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "\nSOMETHING IS OFF: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(1);
}

void ok(dirkv_status status, const char *what) {
    if (status != DIRKV_OK) {
        die("%s: %s: %s", what, dirkv_status_name(status), dirkv_error_message(err));
    }
}

const char *refused(dirkv_status wanted, dirkv_status status, const char *what) {
    static char said[512];
    if (status != wanted) {
        die("%s: %s instead of %s: %s", what, dirkv_status_name(status), dirkv_status_name(wanted),
            dirkv_error_message(err));
    }
    snprintf(said, sizeof said, "%s: %s", dirkv_status_name(status), dirkv_error_message(err));
    dirkv_error_free(err);
    err = NULL;
    return said;
}

void heading(const char *text) {
    printf("\n%s\n", text);
    fflush(stdout);
}

int64_t monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

void sleep_ns(int64_t ns) {
    struct timespec rest = {.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
    while (nanosleep(&rest, &rest) != 0) {
    }
}

dirkv_backend *open_store(const char *path) {
    dirkv_backend *b;
    ok(dirkv_open_path(path, &b, &err), "open");
    return b;
}

void close_store(dirkv_backend *b) {
    ok(dirkv_close(b, &err), "close");
}

pid_t child(void (*body)(const char *path, void *shared), const char *path, void *shared) {
    fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) {
        die("can't start a process");
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of us, it doesn't stay behind */
        body(path, shared);
        _exit(0);
    }
    return pid;
}

void wait_for(pid_t pid, const char *who) {
    int status = -1;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        die("%s ended with %d", who, status);
    }
}

void *shared_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        die("no shared memory");
    }
    return memory;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s STATUS-FILE-OF-DPKG NEW-DIRECTORY\n", argv[0]);
        return 2;
    }
    const char *path = argv[2];
    const int64_t begin = monotonic();
    printf("dirkv %s, a store in %s\n", dirkv_version(), path);
    packages(path, argv[1]);
    values(path);
    pass_a_lock(path);
    count_together(path);
    kill_a_writer(path);
    show_directory(path);
    printf("\nAll of it was exact, in %.1f s.\n", (double)(monotonic() - begin) / 1e9);
    return 0;
}
