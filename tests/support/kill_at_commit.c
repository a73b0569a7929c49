/* SIGKILL of the process that loads this at a commit to a Delta table: the TEST_KILL_AT-th whose text has TEST_KILL_TEXT in it.
   TEST_KILL_WHEN is "before" (the data files are there, the version is not) or "after". deltalake writes the text into a file
   of its own, and gives it a version's name by a hard link, which creates or fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_version(const char *name) {
    const char *log = strstr(name, "/_delta_log/");
    return log && strlen(log) == strlen("/_delta_log/00000000000000000000.json");
}

static int has(const char *file, const char *text) {
    static char held[1 << 20];
    int opened = open(file, O_RDONLY);
    ssize_t size = opened < 0 ? 0 : read(opened, held, sizeof held - 1);
    if (opened >= 0) close(opened);
    held[size < 0 ? 0 : size] = 0;
    return strstr(held, text) != 0;
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    static int (*real)(int, const char *, int, const char *, int);
    static long seen;
    const char *number = getenv("TEST_KILL_AT"), *when = getenv("TEST_KILL_WHEN"), *text = getenv("TEST_KILL_TEXT");
    int now = number && when && text && is_version(to) && has(from, text) && ++seen == atol(number);
    if (now && !strcmp(when, "before")) kill(getpid(), SIGKILL);
    if (!real) real = (int (*)(int, const char *, int, const char *, int))dlsym(RTLD_NEXT, "linkat");
    int failed = real(from_folder, from, to_folder, to, flags);
    if (now) kill(getpid(), SIGKILL);
    return failed;
}
