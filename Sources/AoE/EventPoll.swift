import CLinux
import Glibc
import HostModel

/// Waits for several descriptors at once (epoll(7)).
struct EventPoll: ~Copyable {
    /// What a descriptor stands for.
    struct Kind: OptionSet {
        let rawValue: UInt32
        static let frames = Kind(rawValue: 1)
        static let completions = Kind(rawValue: 2)
        static let links = Kind(rawValue: 4)
        static let orders = Kind(rawValue: 8)
        static let stop = Kind(rawValue: 16)
    }

    private let descriptor: Int32
    /// Where the kernel writes what is ready; of more it tells the next time.
    private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
    private static let capacity = 16

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

    /// Waits for `other` as well from now on, until it is closed.
    borrowing func add(_ other: Int32, as kind: Kind, edges: Bool = false) throws(Failure) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | (edges ? EPOLLET.rawValue : 0)
        event.data.u32 = kind.rawValue
        guard epoll_ctl(descriptor, EPOLL_CTL_ADD, other, &event) == 0 else {
            throw Failure(.failed, "cannot wait for events", why: String(cString: strerror(errno)))
        }
    }

    /// Waits at most so long for any of them, and says which kinds are ready.
    borrowing func wait(milliseconds: Int32) -> Kind {
        var ready: Kind = []
        let count = epoll_wait(descriptor, events, Int32(Self.capacity), milliseconds)
        if count > 0 {
            for position in 0..<Int(count) { ready.insert(Kind(rawValue: events[position].data.u32)) }
        }
        return ready
    }
}
