import HostModel
import Hosts
import ISCSI
import ImageStream

/// Has writes done by a process of their own (`KernelTargetWorker`), and waits for each no longer than it is told.
struct KernelWriter: Sendable {
    /// Held by the process while it lives.
    let lockPath: String
    /// The longest that one write may take.
    let limit: Duration
    /// The kernel's directory of targets.
    var root = KernelWrite.root

    /// Writes that are under way at a time: their answers fit into a pipe.
    private static let window = 256
    private static let longestAnswer = 16 << 10

    /// Throws `.busy` where a process that an earlier command has left behind is still at a write: to look at what it is
    /// at work on would hang, too.
    static func checkIsFree(_ lockPath: String) async throws {
        do {
            // The process of a command that was killed ends a moment after it.
            _ = try await FileLock.waiting(
                path: lockPath, purpose: "a write to the kernel's target", limit: .seconds(5))
        } catch {
            guard (error as? Failure)?.code == .busy else { throw error }
            throw occupied(lockPath)
        }
    }

    private static func occupied(_ lockPath: String) -> Failure {
        Failure(
            .busy, "the kernel's iSCSI target cannot be used",
            why: "a write of an earlier command has not come to its end in the kernel (its process holds \(lockPath))",
            remedy: "see with 'dmesg' and 'dmsetup info' which device does not answer, and let it go on; the process "
                + "cannot be killed, and ends by itself then, or with a restart of this host")
    }

    /// Does them in order. The first one that fails ends it.
    /// - Throws: what the kernel says; `.outcomeUnknown` where a write takes too long, and its process is left behind.
    func perform(_ writes: [KernelWrite]) async throws {
        guard !writes.isEmpty else { return }
        let channel = try ChildChannel(
            Command(.kernelTarget, [lockPath, root], .mutation), purpose: "the process that writes to the kernel")
        for start in stride(from: 0, to: writes.count, by: Self.window) {
            let part = Array(writes[start..<min(start + Self.window, writes.count)])
            try await perform(part, by: channel)
        }
        channel.closeInput()
        // It holds the lock until then.
        guard await channel.exitCode(limit: .seconds(10)) == 0 else {
            throw Failure(.failed, "the process that writes to the kernel did not end well", why: channel.lastWords)
        }
    }

    private func perform(_ writes: [KernelWrite], by channel: ChildChannel) async throws {
        var orders: [UInt8] = []
        for write in writes { orders += try KernelOrder.line(write).utf8 }
        try await Blocking.run("xenlvs.kernel") { [orders, limit] in
            do { try channel.input.write(orders, limit: limit) } catch {
                // Its answer says why it takes no more.
                guard (error as? Failure)?.code == .unreachable else { throw error }
            }
        }
        try await channel.withLines { next in
            for write in writes { try hear(try answer(to: write, next), of: write) }
        }
    }

    private func answer(to write: KernelWrite, _ next: LineReader.Next) throws -> String? {
        do { return try next(Self.longestAnswer, limit) } catch {
            let failure = Failure(error, doing: "cannot write to the kernel")
            guard failure.code == .outcomeUnknown else { throw failure }
            throw late(write)
        }
    }

    private func hear(_ line: String?, of write: KernelWrite) throws {
        switch line.map(KernelWord.init(line:)) {
        case .done: return
        case .occupied: throw Self.occupied(lockPath)
        case .refused(let code, let why): throw Failure(code, KernelOrder.refusal(write), why: why)
        case nil:
            throw Failure(
                .outcomeUnknown, "it is not known whether '\(write)' was done",
                why: "the process that does it has ended", remedy: "xenlvs apply --recorded")
        }
    }

    private func late(_ write: KernelWrite) -> Failure {
        Failure(
            .outcomeUnknown, "the kernel has not ended '\(write)'",
            why:
                "it has taken longer than \(limit.components.seconds) s: it waits for requests that are under way on the "
                + "device or on a session. The process that has made the write cannot be killed and is left behind",
            remedy: "see with 'dmesg' and 'dmsetup info' which device does not answer, and let it go on; then "
                + "'xenlvs apply --recorded'")
    }
}
