import HostModel

/// Words of the command line that stand for sizes.
enum SizeArgument {
    /// `10G`. Throws a `.usage` failure.
    static func size(_ text: String) throws -> ByteCount {
        guard let size = ByteCount(parsing: text) else {
            throw Failure(.usage, "'\(text.prefix(100))' is not a size", remedy: "give a number with K, M, G or T")
        }
        return size
    }

    /// `50M`, per second. Throws a `.usage` failure.
    static func bandwidth(_ text: String) throws -> ByteCount {
        guard let size = ByteCount(parsing: text) else {
            throw Failure(
                .usage, "'\(text.prefix(100))' is not a bandwidth", remedy: "give bytes per second, such as 50M")
        }
        return size
    }
}

/// Words of the command line that stand for times.
enum TimeArgument {
    /// Throws a `.usage` failure for a number of seconds out of range.
    static func limit(_ seconds: Int, in range: ClosedRange<Int>) throws -> Duration {
        guard range.contains(seconds) else {
            throw Failure(
                .usage, "\(seconds) seconds is no limit that can be kept",
                remedy: "give a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return .seconds(seconds)
    }
}

/// The part of the exit codes (a contract, see `ExitStatus`) that a command can end with, for its help.
enum ExitCodeHelp {
    static let reading = """
        Exit codes: 0 done; 1 failed; 4 the journal, or what LVM, Xen or DRBD say, cannot be relied on; 6 not found; \
        64 usage.
        """
    static let changing = """
        Exit codes: 0 done; 1 refused or failed, nothing changed; 3 a command was still running when its time was up; \
        4 needs recovery, or the journal cannot be read; 5 busy: a domain, a migration or another command has it; \
        6 not found; 64 usage; 130 interrupted.
        """
    static let migrating = """
        Exit codes: 0 done; 1 refused or failed, nothing changed; 2 failed, rolled back; 3 partly done: resume it; \
        4 needs recovery; 5 busy; 6 not found; 64 usage; 130 interrupted, rolled back.
        """
}
