/// One number the guest counted, and its clock then.
public struct Tick: Sendable, Equatable {
    public let number: Int
    /// Milliseconds since the guest's boot.
    public let uptime: Int
}

/// What a guest printed.
public struct GuestConsole: Sendable {
    /// The ticks in the order they were printed.
    public let ticks: [Tick]
    /// The boot ids it announced: one more for each time it really booted.
    public let boots: [String]
    /// How often it has come to an orderly end.
    public let endings: Int
    /// What it complained of, and what its kernel reported as serious.
    public let errors: [String]

    /// Reads the text of a console log. A line cut short by a power cut counts as not printed.
    public init(_ text: String) {
        var ticks: [Tick] = []
        var boots: [String] = []
        var endings = 0
        var errors: [String] = []
        // A console ends its lines with CR LF, which is one character to Swift: `isNewline` knows all kinds.
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).dropLast() {
            let words = line.split(separator: " ")
            if words.count == 3, words[0] == "tick", let number = Int(words[1]), let uptime = Int(words[2]) {
                ticks.append(Tick(number: number, uptime: uptime))
            } else if words.count == 2, words[0] == "boot" {
                boots.append(String(words[1]))
            } else if words.count == 2, words[0] == "end" {
                endings += 1
            } else if line.contains("guest-error") || line.contains("I/O error") || line.contains("EXT4-fs error") {
                errors.append(String(line))
            }
        }
        self.ticks = ticks
        self.boots = boots
        self.endings = endings
        self.errors = errors
    }

    /// This console followed by another: the same guest's on the host it moved to.
    public func followed(by other: GuestConsole) -> GuestConsole {
        GuestConsole(
            ticks: ticks + other.ticks, boots: boots + other.boots, endings: endings + other.endings,
            errors: errors + other.errors)
    }

    private init(ticks: [Tick], boots: [String], endings: Int, errors: [String]) {
        self.ticks = ticks
        self.boots = boots
        self.endings = endings
        self.errors = errors
    }

    /// The longest time between two ticks by the guest's clock, in milliseconds: the worst freeze its user felt.
    public var longestGap: Int { zip(ticks.dropFirst(), ticks).map { $0.uptime - $1.uptime }.max() ?? 0 }
}

/// What is on a guest's disk.
public struct GuestDisk: Sendable {
    /// The counter file.
    public let counter: [Tick]
    /// The boot ids of all boots from this disk.
    public let boots: [String]
    /// Whether the file system check found no error.
    public let isSound: Bool
    /// What the check said.
    public let report: String
    /// Lines of the counter file that are no number and time.
    public let garbage: [String]
    /// What is wrong with the stamped blocks behind the file system; nil where the disk has none. See
    /// `Tests/Lab/image/programs/stamps.c`.
    public var stamps: [String]?

    init(listing: String, isSound: Bool, report: String) {
        var counter: [Tick] = []
        var boots: [String] = []
        var garbage: [String] = []
        var stamps: [String] = []
        var section: Substring = ""
        for line in listing.split(separator: "\n") {
            let words = line.split(separator: " ")
            if ["boots", "counter", "stamps"].contains(line) {
                section = line
            } else if section == "boots" {
                boots.append(String(line))
            } else if section == "stamps" {
                stamps.append(String(line))
            } else if words.count == 2, let number = Int(words[0]), let uptime = Int(words[1]) {
                counter.append(Tick(number: number, uptime: uptime))
            } else {
                garbage.append(String(line))
            }
        }
        self.counter = counter
        self.boots = boots
        // The last line is the exit code of the check.
        let ending = stamps.popLast()
        if ending != "exit 0", stamps.isEmpty { stamps = ["the check of the stamps ended with \(ending ?? "nothing")"] }
        self.stamps = ending == "exit 3" ? nil : stamps
        self.isSound = isSound
        self.report = report
        self.garbage = garbage
    }

    /// Everything that is wrong with this disk, given what the guest printed. Empty if all is well:
    ///
    /// - the file system is sound and the counter file holds numbers only;
    /// - every stamped block, if there are any, holds what was written to it last;
    /// - the numbers have no hole and no repetition;
    /// - every tick the guest printed is there, with the time it printed;
    /// - the guest booted as often as expected, and from this disk.
    ///
    /// - Parameter isFirst: the second disk of a guest has no boot ids.
    public func problems(given console: GuestConsole, expectedBoots: Int = 1, isFirst: Bool = true) -> [String] {
        guard isSound else { return ["the file system is damaged: \(report)"] }
        var problems = garbage.map { "garbage in the counter file: \($0)" }
        problems += (stamps ?? []).map { "in the stamped blocks: \($0)" }
        problems += console.errors.map { "on the console: \($0)" }
        for (earlier, later) in zip(counter, counter.dropFirst()) where later.number != earlier.number + 1 {
            problems.append("on the disk \(earlier.number) is followed by \(later.number)")
        }
        for (earlier, later) in zip(console.ticks, console.ticks.dropFirst()) where later.number <= earlier.number {
            problems.append("on the console \(earlier.number) is followed by \(later.number)")
        }
        // A power cut takes a few lines with it; more than that was printed on a host where nobody has read it.
        for (earlier, later) in zip(console.ticks, console.ticks.dropFirst()) where later.number > earlier.number + 25 {
            problems.append("the console shows nothing between \(earlier.number) and \(later.number)")
        }
        let onDisk = Dictionary(counter.map { ($0.number, $0.uptime) }, uniquingKeysWith: { first, _ in first })
        for tick in console.ticks where onDisk[tick.number] != tick.uptime {
            problems.append("tick \(tick.number) at \(tick.uptime) ms was printed and is not on the disk")
        }
        if console.ticks.isEmpty { problems.append("the guest printed no tick") }
        if isFirst {
            if boots.count != expectedBoots { problems.append("\(boots.count) boots, not \(expectedBoots)") }
            if boots != console.boots { problems.append("boots on disk \(boots), on the console \(console.boots)") }
        }
        return problems
    }
}
