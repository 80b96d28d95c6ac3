import Storage

/// One line of a device-mapper table: what a range of the device's sectors (of 512 bytes) leads to.
public struct MappingTarget: Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// Sectors of another device, from `offset` on (Documentation/admin-guide/device-mapper/linear.rst).
        case linear(BlockDeviceNumber, offset: UInt64)
        case multipath(MultipathTarget)
        case mirror(MirrorTarget)
        /// A kind that xenlvs makes no tables of, with its parameters.
        case other(type: String, parameters: String)
    }

    public var start: UInt64
    public var length: UInt64
    public var kind: Kind

    public init(start: UInt64, length: UInt64, kind: Kind) {
        self.start = start
        self.length = length
        self.kind = kind
    }

    /// - Parameter parameters: as the kernel prints them: a device by its numbers.
    public init(start: UInt64, length: UInt64, type: String, parameters: String) {
        self.init(start: start, length: length, kind: .init(type: type, parameters: parameters))
    }

    /// `linear`, or the other type's name.
    public var type: String {
        switch kind {
        case .linear: "linear"
        case .multipath: "multipath"
        case .mirror: "mirror"
        case .other(let type, _): type
        }
    }

    public var parameters: String {
        switch kind {
        case .linear(let device, let offset): "\(device) \(offset)"
        case .multipath(let target): target.parameters
        case .mirror(let target): target.parameters
        case .other(_, let parameters): parameters
        }
    }

    /// As dmsetup(8) takes and prints it: `0 524288 linear 253:5 0`.
    public var description: String { "\(start) \(length) \(type) \(parameters)" }
}

extension MappingTarget.Kind {
    init(type: String, parameters: String) {
        let words = parameters.split(separator: " ", omittingEmptySubsequences: false)
        if type == "linear", words.count == 2, let device = BlockDeviceNumber(parsing: words[0]),
            let offset = UInt64(decimal: words[1])
        {
            self = .linear(device, offset: offset)
        } else if type == "multipath", let target = MultipathTarget(parameters: parameters) {
            self = .multipath(target)
        } else if type == "mirror", let target = MirrorTarget(parameters: parameters) {
            self = .mirror(target)
        } else {
            self = .other(type: type, parameters: parameters)
        }
    }
}

/// A device-mapper table: targets that follow each other without a gap, from sector 0.
public struct MappingTable: Hashable, Sendable, CustomStringConvertible {
    public let targets: [MappingTarget]

    /// Nil for targets that leave a gap, overlap, are empty, or do not begin at 0.
    public init?(_ targets: [MappingTarget]) {
        var end: UInt64 = 0
        for target in targets {
            let (next, overflow) = end.addingReportingOverflow(target.length)
            guard target.start == end, target.length > 0, !overflow else { return nil }
            end = next
        }
        guard end > 0 else { return nil }
        self.targets = targets
    }

    /// The whole of one device, or its first `sectors`.
    /// - Precondition: at least one sector.
    public init(linearTo device: BlockDeviceNumber, sectors: UInt64) {
        precondition(sectors > 0, "a table has at least one sector")
        targets = [MappingTarget(start: 0, length: sectors, kind: .linear(device, offset: 0))]
    }

    /// The whole of one device, or its first `sectors`, with its flushes sent to another one of at least that size. The kernel
    /// takes flushes for a mapped device where one of those below it does (`dm_table_supports_flush`, drivers/md/dm-table.c).
    /// That is the target `delay` with a delay of nothing, which passes requests on at once
    /// (Documentation/admin-guide/device-mapper/delay.rst).
    /// - Precondition: at least one sector.
    public init(linearTo device: BlockDeviceNumber, flushing other: BlockDeviceNumber, sectors: UInt64) {
        precondition(sectors > 0, "a table has at least one sector")
        let parameters = [device, device, other].map { "\($0) 0 0" }.joined(separator: " ")
        targets = [MappingTarget(start: 0, length: sectors, type: "delay", parameters: parameters)]
    }

    /// `sectors` that refuse every request (Documentation/admin-guide/device-mapper: the target `error`).
    /// - Precondition: at least one sector.
    public init(closed sectors: UInt64) {
        precondition(sectors > 0, "a table has at least one sector")
        targets = [MappingTarget(start: 0, length: sectors, type: "error", parameters: "")]
    }

    /// Whether every request is refused.
    public var isClosed: Bool { targets.allSatisfy { $0.type == "error" } }

    /// A map over paths to one device.
    /// - Precondition: at least one sector.
    public init(over target: MultipathTarget, sectors: UInt64) {
        precondition(sectors > 0, "a table has at least one sector")
        targets = [MappingTarget(start: 0, length: sectors, kind: .multipath(target))]
    }

    /// `sectors` of a mirror's first device, of which those before `window` are in the mirror. The kernel copies these only:
    /// a copy is kept slow by letting the window grow.
    /// - Precondition: a window within the sectors.
    public init(mirroring target: MirrorTarget, window: UInt64, sectors: UInt64) {
        precondition(window > 0 && window <= sectors, "a window lies within the device")
        let mirror = MappingTarget(start: 0, length: window, kind: .mirror(target))
        let rest = MappingTarget(
            start: window, length: sectors - window, kind: .linear(target.source, offset: window))
        targets = window < sectors ? [mirror, rest] : [mirror]
    }

    /// The mirror and how much is in it, where the table is as `init(mirroring:)` makes it.
    public var mirror: (target: MirrorTarget, window: UInt64)? {
        guard case .mirror(let target)? = targets.first?.kind,
            self == MappingTable(mirroring: target, window: targets[0].length, sectors: sectors)
        else { return nil }
        return (target, targets[0].length)
    }

    /// The paths, where the whole of it is a map over some.
    public var multipath: MultipathTarget? {
        guard targets.count == 1, case .multipath(let target) = targets[0].kind else { return nil }
        return target
    }

    /// Whether it leads to the same places. That requests wait for a path may be changed while it lives.
    func leadsLike(_ other: MappingTable) -> Bool {
        func plain(_ table: MappingTable) -> [MappingTarget] {
            table.targets.map { target in
                guard case .multipath(var map) = target.kind else { return target }
                map.queuesWithoutPath = false
                return MappingTarget(start: target.start, length: target.length, kind: .multipath(map))
            }
        }
        return plain(self) == plain(other)
    }

    /// Reads lines as `dmsetup table` prints them for one device. Nil for anything else.
    public init?(parsing text: String) {
        var targets: [MappingTarget] = []
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
            guard words.count >= 3, let start = UInt64(decimal: words[0]), let length = UInt64(decimal: words[1]),
                !words[2].isEmpty
            else { return nil }
            targets.append(
                MappingTarget(
                    start: start, length: length, type: String(words[2]),
                    parameters: words.count == 4 ? String(words[3]) : ""))
        }
        self.init(targets)
    }

    public var sectors: UInt64 { targets.reduce(0) { $0 + $1.length } }

    /// The device that the table leads to, where it is one line to the beginning of one device.
    public var soleDevice: BlockDeviceNumber? {
        guard targets.count == 1, case .linear(let device, offset: 0) = targets[0].kind else { return nil }
        return device
    }

    public var description: String { targets.map(\.description).joined(separator: "\n") }
}

extension BlockDeviceNumber {
    /// `253:5`.
    init?(parsing text: Substring) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt64(decimal: parts[0]).flatMap({ UInt32(exactly: $0) }),
            let minor = UInt64(decimal: parts[1]).flatMap({ UInt32(exactly: $0) })
        else { return nil }
        self.init(major: major, minor: minor)
    }
}

extension UInt64 {
    /// Digits alone: `UInt64("+5")` is a number too, and no kernel prints it.
    fileprivate init?(decimal text: Substring) {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        self.init(text)
    }
}
