#pragma once
#include <errno.h>
#include <libdevmapper.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// libdevmapper prints what goes wrong to standard error unless it is given a function for it. Swift cannot make a function
// with a variable number of arguments; what went wrong is told by errno.
static inline void xenlvs_dm_ignore(int level, const char *file, int line, int error, const char *format, ...) {
    (void)level, (void)file, (void)line, (void)error, (void)format;
}
static inline void xenlvs_dm_be_quiet(void) { dm_log_with_errno_init(xenlvs_dm_ignore); }

// Swift imports neither the macros that make up the requests' numbers nor ioctl(2), which takes any argument.
static inline int xenlvs_dm_suspend_ioctl(int control, struct dm_ioctl *request) {
    return ioctl(control, DM_DEV_SUSPEND, request) == 0 ? 0 : -errno;
}
static inline int xenlvs_dm_status_ioctl(int control, struct dm_ioctl *request) {
    return ioctl(control, DM_DEV_STATUS, request) == 0 ? 0 : -errno;
}
static inline int xenlvs_dm_clear_ioctl(int control, struct dm_ioctl *request) {
    return ioctl(control, DM_TABLE_CLEAR, request) == 0 ? 0 : -errno;
}

// glibc shows gettid(2) only with _GNU_SOURCE, and Swift does not import syscall(2).
static inline pid_t xenlvs_thread_number(void) { return (pid_t)syscall(SYS_gettid); }
