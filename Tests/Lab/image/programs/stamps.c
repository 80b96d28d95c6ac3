// What a guest of the lab writes to its disks, and the check of it.
//
//   stamps prepare DEVICE                 on the host, once the file system is made: marks the area behind it
//   stamps count DEVICE FILE [DEVICE FILE]   in the guest: counts until a signal ends it
//   stamps check DEVICE COUNT             on a host: what is wrong with the area, a line each, if COUNT is the last number in
//                                            FILE; exit code 1 if something is, 3 if the disk has no room for stamps
//
// FILE is a text file on the disk's file system, a line "NUMBER MILLISECONDS" for each number. Behind the file system lie
// stamped blocks of 4096 bytes. Every number stamps two of them on each disk, one of those in the last 256 KiB, where DRBD 8.4
// forgets what changed. A stamp is made of the area's tag, the block's place and its generation, over all of its bytes, so that
// an old, a torn, a misplaced and a foreign block are all told apart. When the numbers and stamps are durable on all disks, the
// number is printed as "tick NUMBER MILLISECONDS".
//
// Little more than system calls: under emulation a fork in a guest costs tens of milliseconds.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <linux/fs.h>

enum { blockSize = 4096, wordsInBlock = blockSize / 8, tailBlocks = 256 * 1024 / blockSize, intervalMilliseconds = 200 };
static const uint64_t magic = UINT64_C(0x31504d4154535658);  // "XVSTAMP1"

struct area {
    int device;
    uint64_t start;   // of the area, in bytes
    uint64_t blocks;  // 0 where the disk has no stamps; the first block is the header
    uint64_t tag;
};

static void fail(const char *what, const char *on) {
    fprintf(stderr, "stamps: %s %s: %s\n", what, on, errno ? strerror(errno) : "unusable");
    exit(2);
}

// What stands in word `index` of a stamp.
static uint64_t word(const struct area *area, uint64_t block, uint64_t generation, unsigned index) {
    if (index == 0) return magic;
    if (index == 1) return area->tag;
    if (index == 2) return block;
    if (index == 3) return generation;
    // Any good mixture will do (splitmix64, Vigna).
    uint64_t x = (area->tag ^ block * UINT64_C(0x9e3779b97f4a7c15)) + generation * UINT64_C(0xbf58476d1ce4e5b9) + index;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void fill(const struct area *area, uint64_t block, uint64_t generation, uint64_t *buffer) {
    for (unsigned i = 0; i < wordsInBlock; i++) buffer[i] = word(area, block, generation, i);
}

// The block that a generation is written to: the odd ones go round the tail, the even ones round all of the rest.
static uint64_t place(const struct area *area, uint64_t generation) {
    uint64_t step = generation / 2;
    if (generation % 2) return area->blocks - 1 - step * 37 % tailBlocks;
    return 1 + step * 977 % (area->blocks - 1 - tailBlocks);
}

static uint64_t *newBuffer(void) {
    void *buffer = aligned_alloc(blockSize, blockSize);
    if (!buffer) fail("no memory for", "a block");
    return buffer;
}

static uint64_t sizeOf(int descriptor, const char *path) {
    struct stat status;
    if (fstat(descriptor, &status)) fail("cannot look at", path);
    uint64_t size = (uint64_t)status.st_size;
    if (S_ISBLK(status.st_mode) && ioctl(descriptor, BLKGETSIZE64, &size)) fail("cannot get the size of", path);
    return size;
}

// Where the ext4 at the beginning of the device ends (Documentation/filesystems/ext4/super.rst: the superblock is at 1024,
// s_blocks_count_lo at 4, s_log_block_size at 24, s_magic at 56).
static uint64_t fileSystemEnd(int device, const char *path) {
    uint64_t *block = newBuffer();
    if (pread(device, block, blockSize, 0) != blockSize) fail("cannot read", path);
    const unsigned char *super = (const unsigned char *)block + 1024;
    uint32_t count, order;
    memcpy(&count, super + 4, 4);
    memcpy(&order, super + 24, 4);
    errno = 0;
    if (super[56] != 0x53 || super[57] != 0xef || order > 6) fail("there is no ext4 on", path);
    free(block);
    return (uint64_t)count << (10 + order);
}

static struct area openArea(const char *path, int flags) {
    struct area area = {.device = open(path, flags | O_CLOEXEC)};
    if (area.device < 0) fail("cannot open", path);
    area.start = fileSystemEnd(area.device, path);
    uint64_t size = sizeOf(area.device, path);
    if (size > area.start) area.blocks = (size - area.start) / blockSize;
    if (area.blocks < 4 * tailBlocks) area.blocks = 0;
    return area;
}

static void writeBlock(const struct area *area, uint64_t block, const uint64_t *buffer, const char *path) {
    if (pwrite(area->device, buffer, blockSize, (off_t)(area->start + block * blockSize)) != blockSize)
        fail("cannot write to", path);
}

static void readBlock(const struct area *area, uint64_t block, uint64_t *buffer, const char *path) {
    if (pread(area->device, buffer, blockSize, (off_t)(area->start + block * blockSize)) != blockSize)
        fail("cannot read", path);
}

// The header is a stamp of generation 0 in block 0. Without one, the disk is not stamped.
static void readHeader(struct area *area, const char *path) {
    if (!area->blocks) return;
    uint64_t *buffer = newBuffer();
    readBlock(area, 0, buffer, path);
    area->tag = buffer[1];
    for (unsigned i = 0; i < wordsInBlock; i++)
        if (buffer[i] != word(area, 0, 0, i)) area->blocks = 0;
    free(buffer);
}

static int prepare(const char *path) {
    struct area area = openArea(path, O_RDWR | O_DIRECT | O_DSYNC);
    errno = 0;
    if (!area.blocks) fail("there is no room for stamps behind the file system on", path);
    if (getrandom(&area.tag, sizeof area.tag, 0) != sizeof area.tag) fail("no random tag for", path);
    uint64_t *buffer = newBuffer();
    memset(buffer, 0, blockSize);
    for (uint64_t block = 1; block < area.blocks; block++) writeBlock(&area, block, buffer, path);
    fill(&area, 0, 0, buffer);
    writeBlock(&area, 0, buffer, path);
    return 0;
}

static volatile sig_atomic_t ending;
static void end(int signal) { ending = signal; }

struct disk {
    struct area area;
    const char *path;
    int file;
};

static uint64_t lastNumber(const char *path) {
    FILE *file = fopen(path, "re");
    uint64_t last = 0, number, time;
    while (file && fscanf(file, "%" SCNu64 " %" SCNu64, &number, &time) == 2) last = number;
    if (file) fclose(file);
    return last;
}

static uint64_t milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// Writes one number with its stamps to a disk and makes them durable.
static bool note(const struct disk *disk, uint64_t number, uint64_t now, uint64_t *buffer) {
    const struct area *area = &disk->area;
    for (uint64_t generation = 2 * number - 1; area->blocks && generation <= 2 * number; generation++) {
        uint64_t block = place(area, generation);
        fill(area, block, generation, buffer);
        off_t offset = (off_t)(area->start + block * blockSize);
        if (pwrite(area->device, buffer, blockSize, offset) != blockSize) return false;
    }
    char line[64];
    int length = snprintf(line, sizeof line, "%" PRIu64 " %" PRIu64 "\n", number, now);
    return write(disk->file, line, (size_t)length) == length && !fdatasync(disk->file);
}

static int count(int disks, char **arguments) {
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    struct disk disk[2];
    uint64_t number = 0, last[2];
    for (int i = 0; i < disks; i++) {
        disk[i].path = arguments[2 * i];
        disk[i].area = openArea(disk[i].path, O_RDWR | O_DIRECT | O_DSYNC);
        readHeader(&disk[i].area, disk[i].path);
        disk[i].file = open(arguments[2 * i + 1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (disk[i].file < 0) fail("cannot open", arguments[2 * i + 1]);
        last[i] = lastNumber(arguments[2 * i + 1]);
        if (last[i] > number) number = last[i];
    }
    uint64_t *buffer = newBuffer();
    // A power cut between two disks leaves a number on the first alone.
    for (int i = 0; i < disks; i++)
        while (last[i] < number) note(&disk[i], ++last[i], milliseconds(), buffer);
    while (!ending) {
        uint64_t now = milliseconds();
        bool good = true;
        number++;
        for (int i = 0; i < disks; i++) good = note(&disk[i], number, now, buffer) && good;
        // Whoever reads the console learns whether this number was promised. One write: no line is cut in two.
        printf("%s %" PRIu64 " %" PRIu64 "\n", good ? "tick" : "guest-error write", number, now);
        fflush(stdout);
        struct timespec pause = {.tv_nsec = intervalMilliseconds * 1000000L};
        nanosleep(&pause, NULL);
    }
    return ending == SIGUSR2 ? 10 : 0;
}

// The newest generation up to `last` that goes to the block; 0 where none does.
static uint64_t *newestGenerations(const struct area *area, uint64_t last) {
    uint64_t *newest = calloc(area->blocks, sizeof *newest);
    if (!newest) fail("no memory for", "the generations");
    for (uint64_t generation = 1; generation <= last; generation++) newest[place(area, generation)] = generation;
    return newest;
}

static bool isZero(const uint64_t *buffer) {
    for (unsigned i = 0; i < wordsInBlock; i++)
        if (buffer[i]) return false;
    return true;
}

// Says what a block holds instead of the generation that it must hold; true where it is right.
static bool checkBlock(const struct area *area, uint64_t block, uint64_t wanted, uint64_t last, const uint64_t *buffer) {
    if (isZero(buffer)) {
        if (wanted) printf("block %" PRIu64 " is empty instead of generation %" PRIu64 "\n", block, wanted);
        return !wanted;
    }
    uint64_t found = buffer[3];
    const char *wrong = NULL;
    if (buffer[0] != magic) wrong = "no stamp";
    else if (buffer[1] != area->tag) wrong = "a foreign stamp";
    else if (buffer[2] != block) wrong = "another block's stamp";
    else if (found < wanted) wrong = "an old stamp";
    // The number after the last one may have been at work.
    else if (found > wanted && (found <= last || found > last + 2 || place(area, found) != block)) wrong = "an impossible stamp";
    for (unsigned i = 4; !wrong && i < wordsInBlock; i++)
        if (buffer[i] != word(area, block, found, i)) wrong = "a torn stamp";
    if (!wrong) return true;
    printf("block %" PRIu64 " holds %s instead of generation %" PRIu64 ": tag %016" PRIx64 " block %" PRIu64 " generation %" PRIu64 "\n",
           block, wrong, wanted, buffer[1], buffer[2], found);
    return false;
}

static int check(const char *path, uint64_t number) {
    struct area area = openArea(path, O_RDONLY);
    if (!area.blocks) return 3;
    readHeader(&area, path);
    if (!area.blocks) {
        printf("the header of the stamps is gone\n");
        return 1;
    }
    uint64_t last = 2 * number, wrong = 0;
    uint64_t *newest = newestGenerations(&area, last), *buffer = newBuffer();
    for (uint64_t block = 1; block < area.blocks && wrong < 20; block++) {
        readBlock(&area, block, buffer, path);
        wrong += !checkBlock(&area, block, newest[block], last, buffer);
    }
    return wrong ? 1 : 0;
}

int main(int arguments, char **argument) {
    if (arguments == 3 && !strcmp(argument[1], "prepare")) return prepare(argument[2]);
    if ((arguments == 4 || arguments == 6) && !strcmp(argument[1], "count")) return count((arguments - 2) / 2, argument + 2);
    if (arguments == 4 && !strcmp(argument[1], "check")) return check(argument[2], strtoull(argument[3], NULL, 10));
    fprintf(stderr, "usage: stamps prepare DEVICE | count DEVICE FILE [DEVICE FILE] | check DEVICE COUNT\n");
    return 64;
}
