/* Records what a process does to the files below $RECORD_FOLDER, in order, into $RECORD_LOG, so that a test can
 * rebuild the disk as a power cut would have left it. Loaded with LD_PRELOAD.
 *
 * One record: kind, path length, data length, offset (little endian: u8 u16 u32 u64), path, data.
 * Kinds: W write, S sync of a file, T truncate (offset is the new length), U unlink, R rename (data is the new
 * path), D sync of a folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int ours(const char *path) {
    const char *folder = getenv("RECORD_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

/* The path of an open file or folder of ours, else 0. */
static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return ours(path);
}

static void put(const void *data, size_t size) {
    while (size) {
        ssize_t done = syscall(SYS_write, log_fd, data, size);
        if (done <= 0) abort();
        data = (const char *)data + done, size -= (size_t)done;
    }
}

static void record(char kind, const char *path, const void *data, uint32_t size, uint64_t offset) {
    uint16_t length = (uint16_t)strlen(path);
    pthread_mutex_lock(&lock);
    if (log_fd < 0) log_fd = (int)syscall(SYS_openat, AT_FDCWD, getenv("RECORD_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    put(&kind, 1), put(&length, 2), put(&size, 4), put(&offset, 8), put(path, length), put(data, size);
    pthread_mutex_unlock(&lock);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    ssize_t done = NEXT(pwrite64)(fd, data, size, offset);
    char path[PATH_MAX];
    if (done > 0 && path_of(fd, path)) record('W', path, data, (uint32_t)done, (uint64_t)offset);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    int is_ours = path_of(fd, path);
    off_t offset = is_ours ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t done = NEXT(write)(fd, data, size);
    if (done > 0 && is_ours) record('W', path, data, (uint32_t)done, (uint64_t)offset);
    return done;
}

static void synced(int fd) {
    char path[PATH_MAX];
    struct stat what;
    if (path_of(fd, path)) record(fstat(fd, &what) == 0 && S_ISDIR(what.st_mode) ? 'D' : 'S', path, "", 0, 0);
}

int fsync(int fd) {
    int result = NEXT(fsync)(fd);
    if (result == 0) synced(fd);
    return result;
}

int fdatasync(int fd) {
    int result = NEXT(fdatasync)(fd);
    if (result == 0) synced(fd);
    return result;
}

int ftruncate64(int fd, off64_t length) {
    int result = NEXT(ftruncate64)(fd, length);
    char path[PATH_MAX];
    if (result == 0 && path_of(fd, path)) record('T', path, "", 0, (uint64_t)length);
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
    int result = NEXT(unlink)(path);
    if (result == 0 && ours(path)) record('U', path, "", 0, 0);
    return result;
}

int rename(const char *from, const char *to) {
    int result = NEXT(rename)(from, to);
    if (result == 0 && ours(from)) record('R', from, to, (uint32_t)strlen(to), 0);
    return result;
}
