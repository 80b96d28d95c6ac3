import FoundationEssentials
import Glibc
import Synchronization

/// Looks whether a thread waits for a device, as the kernel shows it (proc(5)).
///
/// A thread that a device keeps in a system call cannot be ended, whatever is done to its process. To restart the daemon
/// for it would take the healthy exports away and bring nothing back.
final class DeviceWait: Sendable {
    private struct Look {
        /// How often the thread has gone to sleep so far: while it is the same, so is what it waits for.
        var sleeps: String
        var since: ContinuousClock.Instant
        var isTold = false
    }

    /// From when on it is told.
    private static let patience = Duration.seconds(10)

    private let file = Mutex<String?>(nil)
    private let last = Mutex<Look?>(nil)

    /// Has the calling thread be looked at from now on.
    func begin() {
        var buffer = [CChar](repeating: 0, count: 64)
        let length = readlink("/proc/thread-self", &buffer, buffer.count)
        guard length > 0 else { return }
        let thread = String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
        file.withLock { $0 = "/proc/\(thread)/status" }
    }

    /// Whether it waits for a device at this moment, in a sleep that no signal ends. Calls `tell` once with how long it
    /// has done so, where that is long.
    func isUnderWay(tell: (Duration) -> Void) -> Bool {
        guard let sleeps = sleepsWhileWaiting() else {
            last.withLock { $0 = nil }
            return false
        }
        let now = ContinuousClock.now
        let long = last.withLock { last -> Duration? in
            var look = Look(sleeps: sleeps, since: now)
            if let last, last.sleeps == sleeps { look = last }
            let isNews = !look.isTold && now - look.since >= Self.patience
            if isNews { look.isTold = true }
            last = look
            return isNews ? now - look.since : nil
        }
        if let long { tell(long) }
        return true
    }

    /// The thread's voluntary sleeps so far, where it is in one of those; nil where it is not, or nothing can be seen.
    private func sleepsWhileWaiting() -> String? {
        guard let file = file.withLock({ $0 }), let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            return nil
        }
        func value(_ name: String) -> Substring? {
            text.split(separator: "\n").first { $0.hasPrefix(name) }?.dropFirst(name.count)
                .drop { $0.isWhitespace }
        }
        guard value("State:")?.first == "D" else { return nil }
        return value("voluntary_ctxt_switches:").map(String.init)
    }
}
