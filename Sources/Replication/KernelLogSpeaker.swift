/// Finds what a replica says in the kernel's log.
struct KernelLogSpeaker {
    private let prefixes: [String]

    init(resource: String, minor: Int) {
        // 8.4: "drbd RES: ", "block drbdN: "; 9: "drbd RES: ", "drbd RES PEER: ", "drbd RES/0 drbdN PEER: ".
        prefixes = ["drbd \(resource):", "drbd \(resource) ", "drbd \(resource)/", "block drbd\(minor):"]
    }

    /// What it has said since the last attempt to connect began, or since a connection stood.
    func lastAttempt(in kernelLog: String) -> ArraySlice<Substring> {
        let lines = kernelLog.split(whereSeparator: \.isNewline).compactMap(message)
        let start = lines.lastIndex { line in
            Self.attemptMarks.contains { line.contains($0) }
        }
        return lines[(start ?? 0)...]
    }

    private static let attemptMarks = ["conn( StandAlone -> Unconnected )", "-> Connected )"]

    /// The line from the speaker's name on; nil for a line of another speaker.
    private func message(_ line: Substring) -> Substring? {
        for prefix in prefixes {
            if let range = line.firstRange(of: prefix) { return line[range.lowerBound...] }
        }
        return nil
    }
}
