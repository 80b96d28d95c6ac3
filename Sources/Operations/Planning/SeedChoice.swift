import HostModel

/// How the bulk of a domain's volumes gets to the target, and why so. Pure.
public struct SeedChoice: Sendable, Equatable {
    public enum Wish: String, Sendable, CaseIterable {
        /// Whichever is the better.
        case auto
        /// Past DRBD, compressed and without what is empty.
        case stream
        /// DRBD copies every block.
        case replica
    }

    /// What is known of the volumes and of the link between the hosts.
    struct Facts: Sendable, Equatable {
        /// Volumes that have fewer blocks than their size.
        var thin: [VolumeName] = []
        /// Volumes of which no snapshot can be taken here.
        var noVolumes: [VolumeName] = []
        /// What the link is able to do, in megabits in a second; nil where that is not known.
        var megabits: Int?
        /// What the synchronisation may copy in a second; nil where nobody has set a limit.
        var bandwidth: ByteCount?
        /// Both hosts have DRBD 8.4, as far as is known.
        var isOldDRBD = true
    }

    /// A link that is slower than any disk, in megabits in a second.
    static let slowLink = 100
    /// The same, in bytes in a second.
    static let slowRate = slowLink * 1_000_000 / 8

    public var seeds: Bool
    /// The end of a sentence; nil where there is nothing to say.
    public var why: String?
    /// Why it cannot be done although it was asked for.
    var objection: String?

    init(_ wish: Wish, _ facts: Facts) {
        let objection: String? =
            if let name = facts.noVolumes.first {
                "\(name) is a file, of which no snapshot can be taken"
            } else if !facts.isOldDRBD {
                "that takes DRBD 8.4 on both hosts"
            } else {
                nil
            }
        switch wish {
        case .replica: self.init(seeds: false, why: nil, objection: nil)
        case .stream: self.init(seeds: objection == nil, why: "as was asked for", objection: objection)
        case .auto:
            let why: String? =
                if let name = facts.thin.first {
                    "\(name) is thin"
                } else if let megabits = facts.megabits, megabits <= Self.slowLink {
                    "the link has \(megabits) Mbit/s"
                } else if let bandwidth = facts.bandwidth, bandwidth.bytes <= Self.slowRate {
                    "at most \(bandwidth) may be copied in a second"
                } else {
                    nil
                }
            self.init(seeds: objection == nil && why != nil, why: objection == nil ? why : nil, objection: nil)
        }
    }

    private init(seeds: Bool, why: String?, objection: String?) {
        self.seeds = seeds
        self.why = why
        self.objection = objection
    }

    /// What is to be said of it before a migration.
    func findings(_ domain: String, _ host: HostName) -> [Finding] {
        if let objection {
            return [
                Finding(
                    .blocking, host, "the volumes of \(domain) cannot be sent past DRBD", why: objection,
                    remedy: "leave --seed stream out")
            ]
        }
        guard seeds, let why else { return [] }
        return [
            Finding(
                .fine, host,
                "the bulk of \(domain)'s volumes would be sent past DRBD, compressed and without what is empty: \(why)")
        ]
    }
}
