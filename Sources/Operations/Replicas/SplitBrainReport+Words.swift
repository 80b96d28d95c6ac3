import HostModel
import Migration
import Replication

extension SplitBrainReport {
    /// Which host has which data, without a full stop.
    var generations: String {
        let own =
            here.generation.map { "\(here.host) has the data generation \($0)" }
            ?? "DRBD does not tell which data generation \(here.host) has"
        guard let other = peer.generation else {
            return "\(own); that of \(peer.host) is told there: xenlvs replica status \(volume)"
        }
        return "\(own), \(peer.host) had \(other) when they last tried to connect"
    }

    /// What to do, with the two commands of the first way on lines of their own.
    /// - Parameter next: what follows them, with its comma.
    func instruction(_ next: String = "") -> String {
        let choice = choices[0]
        let text =
            "decide which copy is good; to keep that of \(choice.keeps) and give up what only the other one has, run "
            + "these two\(next) (the other way round: xenlvs replica status \(volume))"
        return ([text] + Self.text(of: choice)).joined(separator: "\n")
    }

    /// Everything, line by line. A line with a command has nothing else behind it.
    public var lines: [String] {
        let head =
            isCertain
            ? [generations]
            : [
                "a split brain is possible: \(generations)",
                "if DRBD refuses to connect the copies, both were changed; only then, decide which one is good:",
            ]
        let ways = choices.flatMap { choice -> [String] in
            ["to keep the copy of \(choice.keeps) and give up what only \(choice.lines[0].host) has:"]
                + Self.text(of: choice)
        }
        return head + ways + ["then: xenlvs migration resume \(migration)"]
    }

    private static func text(of choice: Choice) -> [String] { choice.lines.map { "  on \($0.host): \($0.command)" } }
}

extension ReplicaSummary {
    /// Why it is not connected and what to do, for a failure's text.
    var explanation: String {
        guard let why, let remedy else { return "the replica is \(connection?.word ?? "not connected") by now" }
        guard let splitBrain, splitBrain.isCertain else { return "\(why) (\(remedy))" }
        return "\(why): \(splitBrain.generations); \(splitBrain.instruction())"
    }
}
