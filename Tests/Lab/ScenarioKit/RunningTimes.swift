/// When a guest could run on a host, as far as it was seen: a stretch of this machine's time in milliseconds.
package struct RunningTime: Sendable, Equatable {
    package let uuid: String
    package let node: String
    package let certain: ClosedRange<Double>
}

/// What `/lab/domains` has written on one node.
package struct DomainLog: Sendable {
    /// One look: the guests that could run at `time`; the look before it was at `previous`. In milliseconds since the boot.
    struct Look: Sendable {
        let boot: String
        let time: Double
        let previous: Double
        let uuids: Set<String>
    }

    let looks: [Look]

    /// Lines that a power cut has torn are left out.
    package init(_ text: String) {
        looks = text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 3, let time = Double(words[1]), let previous = Double(words[2]) else { return nil }
            return Look(boot: words[0], time: time, previous: previous, uuids: Set(words[3...]))
        }
    }

    /// The stretches in which each guest certainly could run here.
    ///
    /// - Parameter clock: when something certainly was, on this machine's clock, that a boot has at a time of its own: not
    ///   before the one and not after the other bound; nil where that boot's clock was never read.
    package func runningTimes(
        on node: String, clock: (_ boot: String, _ time: Double) -> ClosedRange<Double>?
    ) -> [RunningTime] {
        var times: [RunningTime] = []
        for (index, look) in looks.enumerated() {
            let next = index + 1 < looks.count ? looks[index + 1] : nil
            // Nothing has changed up to the last look before the next line.
            let seen = next.flatMap { $0.boot == look.boot ? $0.previous : nil } ?? look.time
            guard let begin = clock(look.boot, look.time)?.upperBound, let end = clock(look.boot, seen)?.lowerBound,
                begin <= end
            else { continue }
            times += look.uuids.map { RunningTime(uuid: $0, node: node, certain: begin...end) }
        }
        return times
    }
}

extension [RunningTime] {
    /// Each pair of nodes on which one guest ran at the same time, as a sentence.
    package var overlaps: [String] {
        var problems: [String] = []
        for (index, one) in enumerated() {
            for other in self[(index + 1)...] where one.uuid == other.uuid && one.node != other.node {
                guard one.certain.overlaps(other.certain) else { continue }
                let both = one.certain.clamped(to: other.certain)
                problems.append(
                    "the guest \(one.uuid) ran on \(one.node) and \(other.node) for "
                        + "\(Int(both.upperBound - both.lowerBound)) ms")
            }
        }
        return problems
    }
}
