import CLinux
import Glibc
import HostModel

/// Waits for several descriptors at once (epoll(7)).
struct EventPoll: ~Copyable {
    private let descriptor: Int32
    /// Where the kernel writes what is ready.
    private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: 8)

    /// The descriptors that a wait found ready; no more than are ever added.
    struct Ready {
        fileprivate var items = InlineArray<8, Int32>(repeating: -1)

        func contains(_ descriptor: Int32) -> Bool {
            for position in 0..<8 where items[position] == descriptor { return true }
            return false
        }
    }

    init() throws(Failure) {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else {
            throw Failure(.failed, "cannot wait for events", why: String(cString: strerror(errno)))
        }
    }

    deinit {
        close(descriptor)
        events.deallocate()
    }

    borrowing func add(_ other: Int32, edges: Bool = false) throws(Failure) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | (edges ? EPOLLET.rawValue : 0)
        event.data.fd = other
        guard epoll_ctl(descriptor, EPOLL_CTL_ADD, other, &event) == 0 else {
            throw Failure(.failed, "cannot wait for events", why: String(cString: strerror(errno)))
        }
    }

    /// Waits at most so long for any of them.
    borrowing func wait(milliseconds: Int32) -> Ready {
        var ready = Ready()
        let count = epoll_wait(descriptor, events, 8, milliseconds)
        if count > 0 { for position in 0..<Int(count) { ready.items[position] = events[position].data.fd } }
        return ready
    }
}
