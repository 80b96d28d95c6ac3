import HostModel
import Hosts
import ISCSI

/// What serves a host's targets, as the exporter has to do with it.
protocol TargetBackend: Sendable {
    /// Sees that something can be served. Throws `.refused` where not, with what to do about it.
    func prepare(_ runner: any CommandRunner) async throws
    /// Throws `.busy` where an order of an earlier command has not come to its end.
    func checkIsFree() async throws
    /// What is served now. Changes nothing.
    func look() async throws -> any TargetView
    /// Gives the orders one after the other; the first that fails ends it.
    /// - Throws: `.outcomeUnknown` where one takes longer than the limit.
    func perform(_ orders: [TargetOrder], limit: Duration) async throws
}

/// What something serves at a moment.
protocol TargetView: Sendable {
    /// The volumes of those exports whose devices xenlvs's own targets have open.
    /// - Parameter path: that of a volume's device.
    func served(
        _ exports: [ISCSIExport], at path: (VolumeName) -> String, _ owned: LIOOwnership
    ) -> Set<VolumeName>
    func difference(to wanted: ResolvedState, _ owned: LIOOwnership) throws -> TargetDifference
    /// Who is logged in to the target; nil where there is none.
    func sessions(of target: ISCSIName) -> [TargetSession]?
    /// The same, as if other exports of xenlvs's were not there, where they would be taken for somebody else's, and
    /// without what is no export's.
    func alone(with target: ISCSIName, _ owned: LIOOwnership) -> any TargetView
    /// What xenlvs has not made.
    func foreign(_ owned: LIOOwnership) -> [ForeignTarget]
    /// What xenlvs has not made, and none of those targets has.
    func foreignBackstores(_ owned: LIOOwnership) -> [ForeignBackstore]
}

/// A target that xenlvs has not made.
struct ForeignTarget: Sendable, Equatable {
    var name: String
    var portals: [String]
    var initiators: [String]
    var sessions: [TargetSession]
    var hasCHAP: Bool
}

/// A backstore that xenlvs has not made.
struct ForeignBackstore: Sendable, Equatable {
    /// In the kernel's directory of targets: `core/iblock_0/vol1`.
    var path: String
    /// Nil where it has none.
    var devicePath: String?
}

// MARK: The kernel's target

struct KernelBackend: TargetBackend {
    let kernel: KernelTarget
    /// Held by whoever writes to the kernel.
    let lockPath: String

    func prepare(_ runner: any CommandRunner) async throws { try await kernel.load(runner) }

    func checkIsFree() async throws {
        guard kernel.isPresent else { return }
        try await KernelWriter.checkIsFree(lockPath)
    }

    func look() throws -> any TargetView { try LIOSnapshot(reading: kernel) }

    func perform(_ orders: [TargetOrder], limit: Duration) async throws {
        let writes = orders.compactMap { order -> KernelWrite? in
            if case .kernel(let write) = order { write } else { nil }
        }
        try await KernelWriter(lockPath: lockPath, limit: limit).perform(writes)
    }
}

extension LIOSnapshot: TargetView {
    func served(
        _ exports: [ISCSIExport], at path: (VolumeName) -> String, _ owned: LIOOwnership
    ) -> Set<VolumeName> {
        served(exports.map(\.volume), ownedBy: owned)
    }

    func difference(to wanted: ResolvedState, _ owned: LIOOwnership) throws(Failure) -> TargetDifference {
        TargetDifference(try LIODifference(from: self, to: wanted, owned: owned))
    }

    func sessions(of target: ISCSIName) -> [TargetSession]? { targets[target.text]?.sessions }

    /// An adapter without a device is what a change has left that was cut off: the next one takes it away, whatever it
    /// is for.
    func alone(with target: ISCSIName, _ owned: LIOOwnership) -> any TargetView {
        var copy = self
        let used = devices.keys.compactMap { path in path.lastIndex(of: "/").map { String(path[..<$0]) } }
        copy.adapters.formIntersection(used)
        return copy
    }

    func foreign(_ owned: LIOOwnership) -> [ForeignTarget] {
        ForeignObjects(self, owned).targets.sorted { $0.key < $1.key }.map { name, target in
            let groups = target.groups.values
            return ForeignTarget(
                name: name, portals: groups.flatMap(\.portals).sorted(),
                initiators: groups.flatMap(\.initiators.keys).sorted(), sessions: target.sessions,
                hasCHAP: groups.contains { $0.settings["attrib/authentication"] == "1" })
        }
    }

    func foreignBackstores(_ owned: LIOOwnership) -> [ForeignBackstore] {
        let foreign = ForeignObjects(self, owned)
        let groups = foreign.targets.values.flatMap(\.groups.values)
        let served = Set(groups.flatMap { group in group.luns.values.flatMap(\.values) })
        return foreign.devices.filter { !served.contains($0.key) }.sorted { $0.key < $1.key }.map { path, device in
            ForeignBackstore(path: path, devicePath: device.devicePath.isEmpty ? nil : device.devicePath)
        }
    }
}

// MARK: tgt's daemon

extension TGTDaemon: TargetBackend {
    func prepare(_ runner: any CommandRunner) throws {
        guard !isPresent else { return }
        throw Failure(
            .refused, "this host cannot export over iSCSI by tgt", why: "tgtd does not run: there is no \(socketPath)",
            remedy:
                "install the package tgt and start its service: systemctl enable --now tgt; for the kernel's target leave "
                + "'iscsi_target' out of xenlvs.yaml")
    }

    func checkIsFree() {}

    /// A daemon that does not run serves nothing.
    func look() async throws -> any TargetView {
        guard isPresent else { return TGTSnapshot() }
        return try await Blocking.run("xenlvs.tgt") { try snapshot(limit: .seconds(30)) }
    }

    func perform(_ orders: [TargetOrder], limit: Duration) async throws {
        try await Blocking.run("xenlvs.tgt") {
            for case .tgt(let order) in orders { try perform(order, limit: limit) }
        }
    }
}

extension TGTSnapshot: TargetView {
    func served(
        _ exports: [ISCSIExport], at path: (VolumeName) -> String, _ owned: LIOOwnership
    ) -> Set<VolumeName> {
        let own = Dictionary(targets.filter { owned.owns(target: $0.name) }.map { ($0.name, $0) }) { first, _ in first }
        return Set(
            exports.filter { export in own[export.target.text].map { serves(path(export.volume), in: $0) } == true }
                .map(\.volume))
    }

    func difference(to wanted: ResolvedState, _ owned: LIOOwnership) throws(Failure) -> TargetDifference {
        try TargetDifference(from: self, to: wanted, owned: owned)
    }

    func sessions(of target: ISCSIName) -> [TargetSession]? {
        targets.first { $0.name == target.text }?.sessions.map(\.summary)
    }

    /// Its users may be those of others.
    func alone(with target: ISCSIName, _ owned: LIOOwnership) -> any TargetView {
        var copy = self
        copy.targets.removeAll { $0.name != target.text && owned.owns(target: $0.name) }
        return copy
    }

    func foreign(_ owned: LIOOwnership) -> [ForeignTarget] {
        targets.filter { !owned.owns(target: $0.name) }.map { target in
            ForeignTarget(
                name: target.name, portals: portals.sorted(), initiators: target.rules.sorted(),
                sessions: target.sessions.map(\.summary), hasCHAP: !target.users.isEmpty)
        }.sorted { $0.name < $1.name }
    }

    /// It has disks only as parts of targets.
    func foreignBackstores(_ owned: LIOOwnership) -> [ForeignBackstore] { [] }
}
