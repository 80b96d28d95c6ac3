// Keeps a disk of the lab's guest busy: load DEVICE DEPTH
//
// DEPTH writes of 4096 bytes are under way all the time, around the page cache, at places all over the device's last quarter,
// which the file system must leave free. Each second a line "load MILLISECONDS WRITES LONGEST" tells the guest's clock, how many
// writes have ended since the last line, and the longest time without one that has, in milliseconds: the second that a freeze falls
// into holds it as a whole.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>

enum { blockSize = 4096, mostDepth = 256 };

static void fail(const char *what) {
    printf("guest-error load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int main(int arguments, char **argument) {
    long depth = arguments == 3 ? strtol(argument[2], NULL, 10) : 0;
    if (depth < 1 || depth > mostDepth) {
        fprintf(stderr, "usage: load DEVICE DEPTH\n");
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int device = open(argument[1], O_RDWR | O_DIRECT | O_CLOEXEC);
    uint64_t size = 0;
    if (device < 0 || ioctl(device, BLKGETSIZE64, &size)) fail(argument[1]);
    uint64_t blocks = size / blockSize / 4, first = size / blockSize - blocks;

    aio_context_t context = 0;
    if (syscall(SYS_io_setup, depth, &context)) fail("io_setup");
    void *buffer = aligned_alloc(blockSize, blockSize);
    if (!buffer) fail("memory");
    memset(buffer, 0x5a, blockSize);

    static struct iocb block[mostDepth];
    struct iocb *next[mostDepth];
    struct io_event event[mostDepth];
    for (long i = 0; i < depth; i++) {
        block[i].aio_lio_opcode = IOCB_CMD_PWRITE;
        block[i].aio_fildes = (uint32_t)device;
        block[i].aio_buf = (uint64_t)(uintptr_t)buffer;
        block[i].aio_nbytes = blockSize;
        next[i] = &block[i];
    }
    long ready = depth;
    uint64_t place = 0, writes = 0, longest = 0, last = milliseconds(), told = last;
    while (1) {
        for (long i = 0; i < ready; i++) {
            // An odd stride leads over all of an even number of blocks.
            place = (place + 7919) % blocks;
            next[i]->aio_offset = (int64_t)((first + place) * blockSize);
        }
        if (ready && syscall(SYS_io_submit, context, ready, next) != ready) fail("io_submit");
        ready = syscall(SYS_io_getevents, context, 1L, depth, event, NULL);
        if (ready < 0 && errno == EINTR) ready = 0;
        if (ready < 0) fail("io_getevents");
        for (long i = 0; i < ready; i++) {
            if (event[i].res != blockSize) {
                errno = (int)-event[i].res;
                fail("write");
            }
            next[i] = (struct iocb *)(uintptr_t)event[i].obj;
        }
        uint64_t now = milliseconds();
        writes += (uint64_t)ready;
        if (ready && now - last > longest) longest = now - last;
        if (ready) last = now;
        if (now - told >= 1000) {
            printf("load %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", now, writes, longest);
            told = now;
            writes = longest = 0;
        }
    }
}
