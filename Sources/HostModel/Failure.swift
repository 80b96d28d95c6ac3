/// An error that an operator can act on: what failed, on which host, why, and what to do.
///
/// It crosses the wire between hosts, so it is plain data; `cause` keeps the chain. Secrets must never be put into it.
public struct Failure: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// The class of a failure; it decides the exit code and what a caller may do next.
    public enum Code: String, Sendable, Codable, CaseIterable {
        /// The request itself is wrong; nothing was looked at or changed.
        case usage
        /// The named thing does not exist.
        case notFound
        /// Refused by a check; nothing was changed.
        case refused
        /// Another run holds the object.
        case busy
        /// A command or system call failed and its effect is known not to have happened, or is checked by the caller.
        case failed
        /// It is not known whether the effect happened: a lost connection or a time limit. Observe before anything else.
        case outcomeUnknown
        /// The host cannot be reached at all; nothing was asked of it.
        case unreachable
        /// The recorded state and what the kernel says contradict each other, or the record cannot be read.
        case inconsistent
        /// An undo failed: the object is blocked until it is put right by hand.
        case needsRecovery
        /// The other host has ended the migration by itself, after its operator had declared this one dead.
        case takenOver
        /// The domain runs on the target of its migration, and nobody has decided that it belongs there.
        case runsUndecided
        /// The operator interrupted the run.
        case interrupted
    }

    public var code: Code
    /// What failed, with the object: `cannot attach DRBD over vg0/web1`.
    public var what: String
    /// The host it failed on; nil where only one host can be meant.
    public var host: String?
    /// Why, as far as it is known.
    public var why: String?
    /// What the operator can do about it.
    public var remedy: String?
    /// The failures below this one, the nearest first.
    public var causes: [Failure]

    public init(
        _ code: Code, _ what: String, host: String? = nil, why: String? = nil, remedy: String? = nil,
        causes: [Failure] = []
    ) {
        self.code = code
        self.what = what
        self.host = host
        self.why = why
        self.remedy = remedy
        self.causes = causes
    }

    private enum CodingKeys: CodingKey { case code, what, host, why, remedy, causes }

    /// Reads a failure of another host or of the journal. Texts that are too long are cut.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func text(_ key: CodingKeys) throws -> String? {
            try values.decodeIfPresent(String.self, forKey: key).map(\.cutToForeignLength)
        }
        code = try values.decode(Code.self, forKey: .code)
        what = try values.decode(String.self, forKey: .what).cutToForeignLength
        (host, why, remedy) = (try text(.host), try text(.why), try text(.remedy))
        causes = try values.decode([Failure].self, forKey: .causes)
    }

    /// One line: `nodeb: cannot attach DRBD over vg0/web1: the device is held by device-mapper (remedy …)`.
    public var description: String {
        var text = host.map { "\($0): \(what)" } ?? what
        if let why { text += ": \(why)" }
        if let remedy { text += " (\(remedy))" }
        return text
    }

    /// The failure and its causes, one a line, indented, with the remedy on a line of its own.
    public var detailedDescription: String {
        var lines: [String] = []
        func add(_ failure: Failure, _ indent: String) {
            let place = failure.host.map { "\($0): " } ?? ""
            lines.append(indent + place + failure.what + (failure.why.map { ": \($0)" } ?? ""))
            if let remedy = failure.remedy {
                lines.append(String(repeating: " ", count: indent.count) + "  what to do: " + remedy)
            }
            for cause in failure.causes { add(cause, indent + "  because ") }
        }
        add(self, "")
        return lines.joined(separator: "\n")
    }

    /// This failure with the host filled in where it has none.
    public func on(_ host: String) -> Failure {
        var copy = self
        if copy.host == nil { copy.host = host }
        return copy
    }

    /// Any error as a failure; a `Failure` is itself.
    public init(_ error: any Error, doing what: String) {
        if let failure = error as? Failure {
            self = failure
        } else {
            self.init(.failed, what, why: String(describing: error))
        }
    }
}

extension String {
    /// As much of a text as is taken from another host: 4096 characters.
    package var cutToForeignLength: String { String(prefix(4096)) }
}
