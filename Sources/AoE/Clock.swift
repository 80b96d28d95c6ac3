import Glibc

/// The time since the host's start.
package enum Clock {
    static func nanoseconds() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
    }

    package static func milliseconds() -> Int64 { nanoseconds() / 1_000_000 }
}
