import HostModel

/// What of the kernel's objects xenlvs has made, by its own records.
public struct LIOOwnership: Sendable, Equatable, Codable {
    public struct Item: Sendable, Hashable, Codable {
        public var target: ISCSIName
        public var volume: VolumeName

        public init(target: ISCSIName, volume: VolumeName) {
            self.target = target
            self.volume = volume
        }
    }

    public var items: Set<Item> { didSet { names = Names(items) } }
    /// Whether xenlvs has set the authentication of discovery, of which the host has one for all targets.
    public var hasDiscovery: Bool
    private var names: Names

    public init(items: Set<Item> = [], hasDiscovery: Bool = false) {
        self.items = items
        self.hasDiscovery = hasDiscovery
        names = Names(items)
    }

    /// The same as it is looked for.
    private struct Names: Sendable, Equatable {
        let targets: Set<String>
        let volumes: Set<Substring>

        init(_ items: Set<Item>) {
            targets = Set(items.map(\.target.text))
            volumes = Set(items.map { $0.volume.text[...] })
        }
    }

    private enum CodingKeys: CodingKey {
        case items, hasDiscovery
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            items: try values.decode(Set<Item>.self, forKey: .items),
            hasDiscovery: try values.decode(Bool.self, forKey: .hasDiscovery))
    }

    /// All that may be in the kernel while `state` is being brought about.
    public func joined(with state: ISCSIState) -> LIOOwnership {
        LIOOwnership(
            items: items.union(state.exports.map { Item(target: $0.target, volume: $0.volume) }),
            hasDiscovery: hasDiscovery || state.discoveryCHAPFile != nil)
    }

    public func owns(target name: String) -> Bool { names.targets.contains(name) }
    func owns(device path: String) -> Bool { LIO.name(ofDevice: path).map(names.volumes.contains) ?? false }
}

/// The writes that lead from what the kernel serves to what it is to serve, in order. It touches nothing that xenlvs has
/// not made, and of two exports only the one that differs.
public struct LIODifference: Sendable, Equatable {
    /// The part that belongs to one target, one backstore, or discovery.
    public struct Change: Sendable, Equatable {
        public var subject: String
        public var writes: [KernelWrite]
        /// The sessions that it ends.
        public var endedSessions: [TargetSession]
    }

    public private(set) var changes: [Change] = []

    public var writes: [KernelWrite] { changes.flatMap(\.writes) }
    public var isEmpty: Bool { changes.isEmpty }

    /// First goes what has to go, then comes what is new or changed: an address, a device or a name that one export gives
    /// up is free when another takes it.
    /// - Throws: `.refused` or `.busy` where something that xenlvs has not made is in the way.
    public init(
        from found: LIOSnapshot, to wanted: ResolvedState, owned: LIOOwnership
    ) throws(Failure) {
        try wanted.checkIdentities()
        try ForeignObjects(found, owned).check(wanted)
        let byTarget = Dictionary(uniqueKeysWithValues: wanted.exports.map { ($0.export.target.text, $0) })
        var places = LIOPlaces(found, owned)
        let byDevice = Dictionary(
            uniqueKeysWithValues: wanted.exports.compactMap { export in
                places.present(export.export.volume).map { ($0, export) }
            })

        let mapped = Set(found.targetsByDevice.keys)
        let spentDevices = Set(
            found.devices.filter { path, device in
                owned.owns(device: path)
                    && byDevice[path].map { device.mustBeRemade(for: $0, isMapped: mapped.contains(path)) } ?? true
            }.keys)
        let spentTargets = Set(
            found.targets.filter { name, target in
                owned.owns(target: name)
                    && byTarget[name].map { export in
                        target.mustBeRemade(
                            for: export, on: places.present(export.export.volume), spentDevices: spentDevices)
                    } ?? true
            }.keys)
        places.assign(wanted.exports.map(\.export.volume), found, spent: spentDevices)

        for name in spentTargets.sorted() {
            let target = found.targets[name] ?? LIOTarget()
            add(LIO.target(name), target.removal(at: LIO.target(name)), ending: target.sessions)
        }
        for path in spentDevices.sorted() { add(path, [.removeDirectory(path)]) }
        for export in wanted.exports {
            let path = places[export.export.volume]
            let device = spentDevices.contains(path) ? nil : found.devices[path]
            add(path, LIODevice.writes(from: device, to: export, at: path), needsAdapterIn: found)
            let name = export.export.target.text
            let target = spentTargets.contains(name) ? nil : found.targets[name]
            add(
                LIO.target(name), LIOTarget.writes(from: target, to: export, on: path, at: LIO.target(name)),
                ending: target?.sessions(endedBy: export) ?? [])
        }
        addDiscovery(found, wanted, owned)
        let needed = Set(wanted.exports.map { places[$0.export.volume] })
        if !owned.items.isEmpty {
            for path in found.idleAdapters(spentDevices, needed) { add(path, [.removeDirectory(path)]) }
        }
        makeFabric(found)
    }

    private mutating func add(_ subject: String, _ writes: [KernelWrite], ending sessions: [TargetSession] = []) {
        if !writes.isEmpty { changes.append(Change(subject: subject, writes: writes, endedSessions: sessions)) }
    }

    /// A device on an adapter that is not there yet.
    private mutating func add(_ subject: String, _ writes: [KernelWrite], needsAdapterIn found: LIOSnapshot) {
        let adapter = subject.lastIndex(of: "/").map { String(subject[..<$0]) } ?? subject
        let isNeeded = !writes.isEmpty && !found.adapters.contains(adapter)
        add(subject, (isNeeded ? [.makeDirectory(adapter)] : []) + writes)
    }

    private mutating func addDiscovery(_ found: LIOSnapshot, _ wanted: ResolvedState, _ owned: LIOOwnership) {
        guard wanted.discovery != nil || owned.hasDiscovery else { return }
        let path = "\(LIO.discovery)/enforce_discovery_auth"
        var writes = found.discovery.writes(to: wanted.discovery, below: LIO.discovery)
        // Whoever may not ask must not be able to in between.
        switch (found.enforcesDiscovery, wanted.discovery != nil) {
        case (false, true): writes.append(.write("1", to: path))
        case (true, false): writes.insert(.write("0", to: path), at: 0)
        case (true, true), (false, false): break
        }
        add(LIO.discovery, writes)
    }

    /// The module makes the directory's files with the directory.
    private mutating func makeFabric(_ found: LIOSnapshot) {
        let isNeeded = writes.contains { $0.path.hasPrefix(LIO.fabric + "/") }
        if !found.hasFabric, isNeeded {
            changes.insert(Change(subject: LIO.fabric, writes: [.makeDirectory(LIO.fabric)], endedSessions: []), at: 0)
        }
    }
}

extension LIOSnapshot {
    /// Those of the volumes whose devices xenlvs's own targets have open.
    public func served(_ volumes: [VolumeName], ownedBy owned: LIOOwnership) -> Set<VolumeName> {
        let places = LIOPlaces(self, owned)
        return Set(volumes.filter { places.present($0).flatMap { devices[$0] }?.isEnabled == true })
    }

    /// The targets that have a device as a LUN, whoever made them, by name.
    var targetsByDevice: [String: [String]] {
        var names: [String: [String]] = [:]
        for (name, target) in targets.sorted(by: { $0.key < $1.key }) {
            let devices = target.groups.values.flatMap { $0.luns.values.flatMap(\.values) }
            for device in Set(devices) { names[device, default: []].append(name) }
        }
        return names
    }
}
