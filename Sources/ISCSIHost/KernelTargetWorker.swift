import Glibc
import HostModel
import Hosts
import ISCSI
import ImageStream

/// Writes to the kernel's target in a process of its own: the work of the hidden `kernel-target` command.
///
/// A write can wait in the kernel for requests that are under way, for as long as the device takes, and no signal ends it.
/// The process that has made it is left behind then; its parent does not wait. It holds a lock as long as it lives, and once
/// its parent is gone it writes nothing more.
public enum KernelTargetWorker {
    /// Longest line that is read; a device's path is the longest value.
    private static let longestLine = 8192

    /// The whole life of the process: `LOCK ROOT`. Takes writes as lines from standard input, answers each.
    public static func run(arguments: [String]) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        guard arguments.count == 2 else { return ExitStatus.usage.rawValue }
        let input = BoundedIO(descriptor: STDIN_FILENO, purpose: "the orders")
        let output = BoundedIO(descriptor: STDOUT_FILENO, purpose: "the answers")
        do {
            let lock = try lock(arguments[0])
            defer { withExtendedLifetime(lock) {} }
            try serve(KernelTarget(root: arguments[1]), input, output)
            return ExitStatus.done.rawValue
        } catch {
            let failure = Failure(error, doing: "cannot write to the kernel's target")
            try? say(failure.code == .busy ? .occupied : .refused(failure.code, failure.description), output)
            return ExitStatus.failed.rawValue
        }
    }

    /// Somebody may be looking whether it is free.
    private static func lock(_ path: String) throws -> FileLock {
        for _ in 0..<100 {
            do { return try FileLock(path: path, purpose: "a write to the kernel's target") } catch {
                guard (error as? Failure)?.code == .busy else { throw error }
            }
            usleep(50_000)
        }
        return try FileLock(path: path, purpose: "a write to the kernel's target")
    }

    private static func serve(_ kernel: KernelTarget, _ input: BoundedIO, _ output: BoundedIO) throws {
        var lines = LineBuffer()
        while let line = try lines.next(from: input, longest: longestLine, limit: .seconds(600)) {
            let write = try KernelOrder.write(line: line)
            do throws(Failure) { try kernel.perform(write) } catch {
                // What follows may build on it.
                return try say(.refused(error.code, error.why ?? "it does not say why"), output)
            }
            // Throws where the parent has given up: then nobody counts on what would come next.
            try say(.done, output)
        }
    }

    private static func say(_ word: KernelWord, _ output: BoundedIO) throws {
        let plain = word.line.split(whereSeparator: \.isNewline).joined(separator: " ")
        try output.write(Array((plain + "\n").utf8), limit: .seconds(60))
    }
}
