// Looks again and again at which guests' virtual CPUs may run on this host, and says so whenever that changes.
//
//   domains LOG PERIOD      PERIOD from one look to the next, in milliseconds, up to 999
//
// A line of LOG: "BOOT NOW BEFORE UUID...". BOOT is the boot's id, NOW the time of this look and BEFORE that of the one before
// it, in milliseconds since the boot; then the guests that are neither paused nor shut down (suspended) nor dying, sorted.
// Without a change there is a line every five seconds. Each line is on the disk before the next look.
//
// It asks the hypervisor itself (XEN_SYSCTL_getdomaininfolist, xen/sysctl.h): xl takes a tenth of a second to answer.
#define _GNU_SOURCE
#define __XEN_TOOLS__ 1
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xen/xen.h>

#include <xen/domctl.h>
#include <xen/sys/privcmd.h>
#include <xen/sysctl.h>

enum { MAX_DOMAINS = 32, SILENCE_MS = 5000 };

// What the hypervisor reads and writes lies on pages that stay where they are.
struct shared {
    struct xen_sysctl call;
    xen_domctl_getdomaininfo_t domains[MAX_DOMAINS];
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int64_t milliseconds_since_boot(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// The number of guests and dom0, or -1.
static int look(int privcmd, struct shared *shared) {
    memset(&shared->call, 0, sizeof shared->call);
    shared->call.cmd = XEN_SYSCTL_getdomaininfolist;
    shared->call.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    shared->call.u.getdomaininfolist.max_domains = MAX_DOMAINS;
    set_xen_guest_handle(shared->call.u.getdomaininfolist.buffer, shared->domains);
    privcmd_hypercall_t hypercall = {.op = __HYPERVISOR_sysctl, .arg = {(uintptr_t)&shared->call}};
    if (ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &hypercall) < 0) return -1;
    return (int)shared->call.u.getdomaininfolist.num_domains;
}

static int compare(const void *a, const void *b) { return strcmp(a, b); }

// Writes " UUID" for each guest that may run.
static void running_guests(const struct shared *shared, int count, char *line) {
    static char uuids[MAX_DOMAINS][40];
    int running = 0;
    for (int i = 0; i < count; i++) {
        const xen_domctl_getdomaininfo_t *domain = &shared->domains[i];
        const uint32_t at_rest = XEN_DOMINF_paused | XEN_DOMINF_shutdown | XEN_DOMINF_dying;
        if (domain->domain == 0 || (domain->flags & at_rest)) continue;
        char *text = uuids[running++];
        for (int byte = 0; byte < 16; byte++) {
            if (byte == 4 || byte == 6 || byte == 8 || byte == 10) *text++ = '-';
            text += sprintf(text, "%02x", domain->handle[byte]);
        }
    }
    qsort(uuids, (size_t)running, sizeof uuids[0], compare);
    *line = 0;
    for (int i = 0; i < running; i++) line += sprintf(line, " %s", uuids[i]);
}

// Without the line's end.
static void read_boot(char *id, size_t size) {
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, id, size);
    if (length < 1) fail("boot id");
    id[length - 1] = 0;
    close(file);
}

int main(int count, char **arguments) {
    const int period = count == 3 ? atoi(arguments[2]) : 0;
    if (period < 1 || period > 999) {
        fprintf(stderr, "usage: domains LOG PERIOD\n");
        return 64;
    }
    int log = open(arguments[1], O_WRONLY | O_CREAT | O_APPEND | O_DSYNC | O_CLOEXEC, 0644);
    if (log < 0) fail(arguments[1]);
    int privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    if (privcmd < 0) fail("/dev/xen/privcmd");
    struct shared *shared = mmap(
        NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
    if (shared == MAP_FAILED) fail("memory");
    char boot[64];
    read_boot(boot, sizeof boot);

    static char before[MAX_DOMAINS * 40] = "nothing was seen yet", now[MAX_DOMAINS * 40];
    static char line[sizeof now + 128];
    int64_t last_look = milliseconds_since_boot(), last_line = 0;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        int64_t time = milliseconds_since_boot();
        int domains = look(privcmd, shared);
        if (domains < 0) fail("XEN_SYSCTL_getdomaininfolist");
        running_guests(shared, domains, now);
        if (strcmp(now, before) != 0 || time - last_line >= SILENCE_MS) {
            int length = sprintf(line, "%s %lld %lld%s\n", boot, (long long)time, (long long)last_look, now);
            if (write(log, line, (size_t)length) != length) fail(arguments[1]);
            strcpy(before, now);
            last_line = time;
        }
        last_look = time;
        next.tv_nsec += period * 1000000L;
        if (next.tv_nsec >= 1000000000) {
            next.tv_nsec -= 1000000000;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}
