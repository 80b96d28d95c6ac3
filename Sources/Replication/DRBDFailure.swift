import HostModel

/// What DRBD's kernel module answered to a command that it refused.
///
/// Format (`print_config_error`, drbdsetup.c): `OBJECT: Failure: (104) TEXT`, exit code 10, for `enum drbd_ret_code`, or
/// `OBJECT: State change failed: (-2) TEXT`, exit code 11 (17, 16 or 5 for three of them), for `enum drbd_state_rv`; then,
/// where the kernel adds something, `additional info from kernel:` and a line.
public struct DRBDRefusal: Sendable, Equatable {
    public let number: Int
    /// DRBD's own words.
    public let text: String
    public let kernelSays: String?

    /// Finds the refusal in what `drbdsetup` printed, or in a message that quotes it; nil where there is none.
    public init?(_ output: String) {
        guard
            let mark = ["Failure: (", "State change failed: ("].compactMap({ output.firstRange(of: $0) })
                .min(by: { $0.lowerBound < $1.lowerBound }),
            let closing = output[mark.upperBound...].firstIndex(of: ")"),
            let number = Int(output[mark.upperBound..<closing])
        else { return nil }
        self.number = number
        text = Self.line(output[output.index(after: closing)...])
        kernelSays = output.firstRange(of: Self.kernelMark).map { Self.line(output[$0.upperBound...]) }
    }

    /// Whether the same command may succeed a moment later: "(-18) in transient state", "(-19) concurrent state changes".
    public var isTransient: Bool { number == -18 || number == -19 }

    private static let kernelMark = "additional info from kernel:"

    /// The first line with anything on it; a runner may have joined lines with semicolons.
    private static func line(_ text: Substring) -> String {
        let start = text.drop { $0.isWhitespace || $0 == ";" }
        return String(start.prefix { !$0.isNewline && $0 != ";" })
    }
}

/// Says in words what DRBD's numbers mean, and what to do.
public enum DRBDFailure {
    /// - Parameters:
    ///   - result: of `drbdsetup` or `drbdmeta`.
    ///   - what: what was being done, with the object: `cannot attach DRBD over vg0/web1`.
    /// - Returns: nil for exit code 0.
    public static func explain(result: CommandResult, _ what: String) -> Failure? {
        if result.termination == .exited(0) { return nil }
        return explain(result.errors + "\n" + result.output, what)
            ?? Failure(.failed, what, why: result.lastWords.isEmpty ? "\(result.termination)" : result.lastWords)
    }

    /// The same for the failure of a runner, which quotes the last words of the program; unchanged where they are not
    /// understood.
    public static func explain(_ failure: Failure, _ what: String) -> Failure {
        guard failure.code == .failed, var explained = failure.why.flatMap({ explain($0, what) }) else {
            return failure
        }
        explained.host = failure.host
        explained.causes = [failure]
        return explained
    }

    private static func explain(_ output: String, _ what: String) -> Failure? {
        if let refusal = DRBDRefusal(output) {
            let meaning = DRBDMeaning(refusal.number)
            let own = refusal.kernelSays.map { "\(refusal.text), \($0)" } ?? refusal.text
            return Failure(
                meaning.code, what, why: "\(meaning.why ?? own) (\(refusal.number))", remedy: meaning.remedy)
        }
        guard let rule = toolRules.first(where: { output.contains($0.text) }) else { return nil }
        return Failure(.refused, what, why: rule.why, remedy: rule.remedy)
    }

    /// What `drbdmeta` and `drbdsetup` refuse without asking the kernel (drbd-utils 9.22, drbdmeta.c).
    private static let toolRules: [(text: String, why: String, remedy: String)] = [
        (
            "is configured!", "DRBD uses this minor at the moment",
            "take the replica down first"
        ),
        (
            "Exclusive open failed", "another program or another replica has the metadata device open",
            "see 'lsblk' and '/proc/drbd' for who it is"
        ),
        (
            "Valid meta data seems to be in place", "the metadata device holds DRBD metadata already",
            "if nobody needs them, remove that metadata volume by hand"
        ),
        (
            "meta-data found, convert to", "the metadata device holds metadata of another DRBD version",
            "if nobody needs them, remove that metadata volume by hand"
        ),
        (
            "This would corrupt existing data", "the metadata device holds data",
            "look with 'blkid' at what it is; xenlvs writes metadata only to an empty volume"
        ),
        (
            "This might destroy existing data", "the beginning of the metadata device is not empty",
            "zero it if it is xenlvs's own new volume; xenlvs writes metadata only to an empty volume"
        ),
        (
            "No valid meta data found", "the metadata device holds no DRBD metadata",
            "create them again; the next synchronisation copies everything"
        ),
        (
            "Failed to modprobe drbd", "the DRBD kernel module is not loaded",
            "modprobe drbd; see 'xenlvs doctor'"
        ),
        (
            "Could not connect to 'drbd' generic netlink family", "the DRBD kernel module is not loaded",
            "modprobe drbd; see 'xenlvs doctor'"
        ),
    ]
}
