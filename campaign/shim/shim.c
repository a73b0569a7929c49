/* Preloaded into the processes of one history (LD_PRELOAD): a disk that fails, a clock that is wrong, a broker behind a proxy.
 *
 * The campaign and all processes share one small file, mapped into memory (CAMPAIGN_CONTROL). The campaign writes what is to go
 * wrong, at any moment; the processes count what has gone wrong, which is the proof that a fault struck. All zero: nothing does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* In the order of Shim.FIELDS. */
struct control {
    int64_t clock_ns;    /* added to the time of day */
    int64_t clock_reads; /* times that it was */
    int64_t disk_errno;  /* what a write answers; 0: it writes */
    int64_t disk_skip;   /* writes that go through before */
    int64_t disk_fail;   /* writes that fail then */
    int64_t disk_seen;
    int64_t disk_failed;
    int64_t from_port; /* connections to it go to to_port; 0: they do not */
    int64_t to_port;
    int64_t redirected;
    char place[216]; /* a write is meant when its file's path holds this */
};

static struct control *shared;

static struct control *control(void) {
    static int tried;
    if (!tried) {
        tried = 1;
        const char *path = getenv("CAMPAIGN_CONTROL");
        int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (file >= 0) {
            void *found = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            close(file);
            if (found != MAP_FAILED) shared = found;
        }
    }
    return shared;
}

__attribute__((constructor)) static void begin(void) { control(); }

#define REAL(name) ((__typeof__(&name))real(#name))
#define COUNT(field) __atomic_add_fetch(&shared->field, 1, __ATOMIC_SEQ_CST)

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Whether a write to this file fails now, with errno set. */
static int fails(int file) {
    if (!shared || !shared->disk_errno) return 0;
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    if (!strstr(path, shared->place)) return 0;
    int64_t number = COUNT(disk_seen);
    if (number <= shared->disk_skip || number > shared->disk_skip + shared->disk_fail) return 0;
    COUNT(disk_failed);
    errno = (int)shared->disk_errno;
    return 1;
}

ssize_t write(int file, const void *data, size_t size) { return fails(file) ? -1 : REAL(write)(file, data, size); }
ssize_t writev(int file, const struct iovec *data, int count) { return fails(file) ? -1 : REAL(writev)(file, data, count); }
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { return fails(file) ? -1 : REAL(pwrite)(file, data, size, at); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    return fails(file) ? -1 : REAL(pwrite64)(file, data, size, at);
}
int fsync(int file) { return fails(file) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails(file) ? -1 : REAL(fdatasync)(file); }

static void shift(int64_t *seconds, int64_t *nanoseconds) {
    int64_t by = shared ? shared->clock_ns : 0;
    if (!by) return;
    COUNT(clock_reads);
    int64_t now = *seconds * 1000000000 + *nanoseconds + by;
    *seconds = now / 1000000000;
    *nanoseconds = now % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int code = REAL(clock_gettime)(clock, now);
    if (!code && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t seconds = now->tv_sec, rest = now->tv_nsec;
        shift(&seconds, &rest);
        now->tv_sec = seconds;
        now->tv_nsec = rest;
    }
    return code;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int code = ((int (*)(struct timeval *, void *))real("gettimeofday"))(now, zone);
    if (!code) {
        int64_t seconds = now->tv_sec, rest = now->tv_usec * 1000;
        shift(&seconds, &rest);
        now->tv_sec = seconds;
        now->tv_usec = rest / 1000;
    }
    return code;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}

int connect(int file, const struct sockaddr *address, socklen_t length) {
    struct sockaddr_storage changed;
    if (shared && shared->from_port && length <= sizeof changed && (address->sa_family == AF_INET || address->sa_family == AF_INET6)) {
        memcpy(&changed, address, length);
        in_port_t *port = address->sa_family == AF_INET ? &((struct sockaddr_in *)&changed)->sin_port
                                                        : &((struct sockaddr_in6 *)&changed)->sin6_port;
        if (ntohs(*port) == shared->from_port) {
            COUNT(redirected);
            *port = htons((uint16_t)shared->to_port);
            return REAL(connect)(file, (struct sockaddr *)&changed, length);
        }
    }
    return REAL(connect)(file, address, length);
}
