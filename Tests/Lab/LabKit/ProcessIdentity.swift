import Foundation

/// One particular process: its number together with the time it was started, because numbers are used again.
public struct ProcessIdentity: Codable, Sendable, Equatable {
    public let pid: Int32
    /// Clock ticks since the machine's boot, field 22 of `/proc/PID/stat`.
    public let startTime: UInt64

    /// The process that has this number now, if there is one and it has not ended.
    public init?(pid: Int32) {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            // The name in the second field may hold anything, spaces and parentheses too.
            let close = stat.lastIndex(of: ")")
        else { return nil }
        let fields = stat[stat.index(after: close)...].split(separator: " ")
        guard fields.count > 19, let start = UInt64(fields[19]), fields[0] != "Z" else { return nil }
        self.pid = pid
        startTime = start
    }

    /// The process named in a pid file, if its command line shows that it is the one that wrote the file.
    ///
    /// A run that died between starting a process and noting it leaves only this trace.
    init?(pidFile: URL) {
        guard let text = try? String(contentsOf: pidFile, encoding: .utf8),
            let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)),
            let commandLine = try? Data(contentsOf: URL(filePath: "/proc/\(pid)/cmdline")),
            commandLine.split(separator: 0).contains(where: { Array($0) == Array(pidFile.path.utf8) })
        else { return nil }
        self.init(pid: pid)
    }

    /// Whether this very process still runs.
    public var isAlive: Bool { ProcessIdentity(pid: pid) == self }

    /// Ends the process at once and waits until it is gone. Does nothing if it has ended already.
    public func kill() async throws {
        guard isAlive else { return }
        _ = Foundation.kill(pid, SIGKILL)
        try await waitUntil("process \(pid) to end", within: .seconds(20), every: .milliseconds(20)) { !isAlive }
    }
}
