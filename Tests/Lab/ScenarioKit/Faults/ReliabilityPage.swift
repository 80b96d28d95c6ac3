import Foundation

/// The results of a run as docs/reliability.md shows them.
package struct ReliabilityPage {
    private let results: [FaultResult]

    package init(_ results: [FaultResult]) {
        self.results = results.filter { $0.outcome != .notReached || !$0.problems.isEmpty }
    }

    package var text: String {
        let summary = FaultSummary(results)
        var lines = [
            "# What becomes of a guest when things break", "",
            """
            Written by `make fault-matrix`: real Xen hosts, LVM, DRBD and guests with one or two disks, faults at the steps of \
            a migration. A case is repeated by its name, as in \
            `make fault-matrix ONLY=\(results.first.map { "\($0.fault)" } ?? "FAULT@TRACK/STEP:MOMENT")`; the seed gives \
            the cases that came before it too.
            """, "",
            """
            \(summary.cases) of at most \(FaultPlan.everything.count) cases so far; lost data: \(summary.lost), wrong: \
            \(summary.wrong), something left over: \(summary.leftovers); the longest recovery: \(Int(summary.recoverySecondsMax.rounded())) s.
            """, "",
            """
            After each case a checker that shares no code with xenlvs looks at both hosts, the guest's console and its \
            disks: the guest runs on one host and never ran on two at once (looked at twenty to a hundred times a second); every \
            number that it had printed after making it durable is on the surviving disk, in order, and every stamped block \
            is the right one, in the last 256 KiB too; the file system is clean; no volume is writable on two hosts; \
            nothing was forced to be Primary but new metadata on the guest's own host (with three freezes: beside the saved \
            guest); what xenlvs says is so; and at the \
            end nothing is left over.
            """, "",
            """
            *went on*: the run came to its end by itself. *resumed*: `xenlvs migration resume` did the rest. *rolled back*: \
            the guest runs where it was. *started again*: its host lost power and with it the guest's memory; `xl create` \
            found all its data. The seconds are those from the operator's command to the step where the run had been.
            """,
        ]
        for track in FaultTrack.allCases { lines += table(track) }
        return lines.joined(separator: "\n") + "\n"
    }

    private func table(_ track: FaultTrack) -> [String] {
        let own = results.filter { $0.fault.track == track }
        guard !own.isEmpty else { return [] }
        let faults = Fault.allCases.filter { fault in own.contains { $0.fault.fault == fault } }
        var lines = ["", "## \(title(track))", ""]
        for fault in faults {
            lines += [
                "### \(fault.title.prefix(1).uppercased() + fault.title.dropFirst())", "",
                "| at | outcome | s | seed |",
                "|---|---|---|---|",
            ]
            let rows = own.filter { $0.fault.fault == fault }
            lines += rows.sorted { FaultPlan.position($0.fault) < FaultPlan.position($1.fault) }.map(row)
            lines.append("")
        }
        return lines.dropLast()
    }

    private func row(_ result: FaultResult) -> String {
        let outcome = result.hasMet ? result.outcome.rawValue : "met nothing"
        let problems = result.problems.isEmpty ? "" : " **\(result.problems.joined(separator: "; "))**"
        let seconds = result.recoverySeconds.map { "\(Int($0.rounded()))" } ?? ""
        let seed = result.seed.map(String.init) ?? ""
        return "| \(result.fault.place) | \(outcome)\(problems) | \(seconds) | \(seed) |"
    }

    private func title(_ track: FaultTrack) -> String {
        switch track {
        case .late: "There, with three freezes"
        case .early: "There, with `--settle early`"
        case .back: "Back: an abort"
        case .rescue: "A third freeze that fails"
        case .switched: "There, by switches with one freeze"
        case .switchedBack: "Back: an abort of a hand-over by switches"
        case .live: "There, live, seeded past DRBD"
        case .liveBack: "Back: an abort of a live hand-over"
        case .cold: "There, shut down meanwhile"
        case .coldBack: "Back: an abort with the guest shut down"
        }
    }
}
