/* What the store's directory holds in the end. */

#include "demo.h"

#include <dirent.h>
#include <sys/stat.h>

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

void show_directory(const char *path) {
    struct dirent **entries;
    size_t total = 0;
    heading("What is in the directory");
    const int n = scandir(path, &entries, NULL, by_name);
    if (n < 0) {
        die("can't list %s", path);
    }
    for (int i = 0; i < n; i++) {
        char *file;
        struct stat about;
        if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0 || lstat(file, &about) != 0) {
            die("can't look at %s", entries[i]->d_name);
        }
        if (S_ISREG(about.st_mode)) {
            printf("  %-12s %10lld bytes, %8lld KB on the disk\n", entries[i]->d_name, (long long)about.st_size,
                   (long long)about.st_blocks / 2);
            total += (size_t)about.st_blocks * 512;
        }
        free(file);
        free(entries[i]);
    }
    free(entries);
    printf("  in all %.1f MB, log files being allocated ahead\n", (double)total / 1e6);
}
