// Headers that Swift's Glibc module leaves out, and what of them Swift cannot import. Nothing else.
#ifndef XENLVS_CLINUX_H
#define XENLVS_CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <net/if_arp.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <scsi/sg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Declared by the C library only with _GNU_SOURCE, under which fd_set is another one than Glibc's module has.
static const int xenlvs_o_direct = __O_DIRECT;
static const int xenlvs_o_tmpfile = __O_TMPFILE | O_DIRECTORY;
extern int xenlvs_fallocate(int descriptor, int mode, off_t offset, off_t length) __asm__("fallocate");
struct xenlvs_message {
    struct msghdr header;
    unsigned int sent;
};
extern int xenlvs_sendmmsg(int descriptor, struct xenlvs_message *messages, unsigned int count, int flags)
    __asm__("sendmmsg");
extern int xenlvs_recvmmsg(int descriptor, struct xenlvs_message *messages, unsigned int count, int flags,
                           struct timespec *limit) __asm__("recvmmsg");

// A function-like macro with a cast and sizeof.
static inline size_t xenlvs_tpacket2_header_length(void) { return TPACKET2_HDRLEN; }

// The kernel writes tp_status on another processor: the accesses need an order that Swift has no word for on foreign memory.
static inline uint32_t xenlvs_load_acquire(const volatile uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void xenlvs_store_release(volatile uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

// The C library has no functions for io_uring, and syscall is variadic.
static inline int xenlvs_io_uring_setup(unsigned int entries, struct io_uring_params *facts) {
    return (int)syscall(SYS_io_uring_setup, entries, facts);
}
static inline int xenlvs_io_uring_enter(int descriptor, unsigned int submit, unsigned int wait, unsigned int flags) {
    return (int)syscall(SYS_io_uring_enter, descriptor, submit, wait, flags, NULL, 0);
}
static inline int xenlvs_io_uring_register_eventfd(int descriptor, int event) {
    return (int)syscall(SYS_io_uring_register, descriptor, IORING_REGISTER_EVENTFD, &event, 1);
}
// struct io_uring_sqe is made of unions without names.
static inline void xenlvs_io_uring_transfer(void *entry, int writes, int descriptor, const void *vectors, unsigned int count,
                                            long long offset, uint64_t mark) {
    *(struct io_uring_sqe *)entry = (struct io_uring_sqe){
        .opcode = writes ? IORING_OP_WRITEV : IORING_OP_READV, .fd = descriptor, .off = (uint64_t)offset,
        .addr = (uint64_t)(uintptr_t)vectors, .len = count, .user_data = mark};
}
static inline void xenlvs_io_uring_sync(void *entry, int descriptor, uint64_t mark) {
    *(struct io_uring_sqe *)entry = (struct io_uring_sqe){
        .opcode = IORING_OP_FSYNC, .fd = descriptor, .fsync_flags = IORING_FSYNC_DATASYNC, .user_data = mark};
}

// How many processors this thread may run on, of the first 1024. The C library's way needs _GNU_SOURCE.
static inline int xenlvs_processor_count(void) {
    unsigned long mask[1024 / (8 * sizeof(unsigned long))] = {0};
    int count = 0;
    if (syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) < 0) return 1;
    for (size_t word = 0; word < sizeof mask / sizeof *mask; word++) count += __builtin_popcountl(mask[word]);
    return count;
}

// CMSG_FIRSTHDR and its like are function-like macros. Both return how many descriptors have passed, -1 for an error.
enum { xenlvs_most_descriptors = 8 };
static inline int xenlvs_send_descriptors(int socket, const int *descriptors, int count) {
    char byte = 0, room[CMSG_SPACE(xenlvs_most_descriptors * sizeof(int))];
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room};
    if (count < 1 || count > xenlvs_most_descriptors) return -1;
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    __builtin_memcpy(CMSG_DATA(header), descriptors, (size_t)count * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? count : -1;
}
static inline int xenlvs_receive_descriptors(int socket, int *descriptors) {
    char byte, room[CMSG_SPACE(xenlvs_most_descriptors * sizeof(int))];
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return 0;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    __builtin_memcpy(descriptors, CMSG_DATA(header), count * sizeof(int));
    return (int)count;
}

// The members of struct ifreq are a union that Swift imports under the names of macros, and ioctl is variadic.
static inline int xenlvs_interface_request(int descriptor, unsigned long request, struct ifreq *facts) {
    return ioctl(descriptor, request, facts);
}
static inline int xenlvs_interface_index(const struct ifreq *facts) { return facts->ifr_ifindex; }
static inline int xenlvs_interface_mtu(const struct ifreq *facts) { return facts->ifr_mtu; }
static inline unsigned int xenlvs_interface_flags(const struct ifreq *facts) { return (unsigned short)facts->ifr_flags; }
static inline unsigned int xenlvs_interface_hardware(const struct ifreq *facts) { return facts->ifr_hwaddr.sa_family; }
// The six bytes as one number, the first byte highest.
static inline uint64_t xenlvs_interface_address(const struct ifreq *facts) {
    uint64_t address = 0;
    for (int byte = 0; byte < 6; byte++) address = address << 8 | (unsigned char)facts->ifr_hwaddr.sa_data[byte];
    return address;
}

#endif
