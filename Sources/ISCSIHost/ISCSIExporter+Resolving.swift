import HostModel
import ISCSI
import Storage

extension ISCSIExporter {
    /// Asks the host about every export, and compares with what is served.
    func difference(
        to state: ISCSIState, _ record: inout ISCSIRecord, _ tolerance: inout Tolerance
    ) async throws -> TargetDifference {
        try await difference(from: try await backend.look(), to: state, &record, &tolerance)
    }

    func difference(
        from found: any TargetView, to state: ISCSIState, _ record: inout ISCSIRecord, _ tolerance: inout Tolerance
    ) async throws -> TargetDifference {
        let resolution = try await resolve(state, found, &record, &tolerance)
        return try resolution.difference(from: found)
    }

    /// What is asked for, or recorded, with all that the host has to say about it. Changes nothing.
    public func resolved(_ state: ISCSIState? = nil) async throws -> ResolvedState {
        try await checkCanBeRead()
        var (record, tolerance) = (try loadRecord(), Tolerance())
        let state = state ?? record.state
        try state.validate()
        return try await resolve(state, try await backend.look(), &record, &tolerance).state()
    }

    private func resolve(
        _ state: ISCSIState, _ found: any TargetView, _ record: inout ISCSIRecord, _ tolerance: inout Tolerance
    ) async throws -> Resolution {
        var owned = record.owned
        var resolved: [ResolvedExport] = []
        var ledger = record.ledger
        let addresses = try LocalAddresses()
        let served = found.served(state.exports, at: questions.devicePath, owned)
        for export in state.exports {
            do {
                let isServed = served.contains(export.volume)
                resolved.append(try await resolve(export, addresses, isServed: isServed, &ledger))
            } catch {
                try tolerance.leave(export, in: &owned, because: error)
            }
        }
        record.ledger = ledger
        return Resolution(exports: resolved, discoveryCHAPFile: state.discoveryCHAPFile, owned: owned)
    }

    private func resolve(
        _ export: ISCSIExport, _ addresses: LocalAddresses, isServed: Bool, _ ledger: inout LUNLedger
    ) async throws -> ResolvedExport {
        let what = "cannot export '\(export.volume)' over iSCSI"
        try addresses.check(export.portals, doing: what)
        var credentials: [ISCSIName: CHAPCredentials] = [:]
        for initiator in export.initiators {
            if let file = export.chapFile(of: initiator) { credentials[initiator.name] = try CHAPFile.read(file) }
        }
        let path = questions.devicePath(export.volume)
        try await questions.scrutiny(export, isServed)
        let device = try examine(path, export)
        return ResolvedExport(
            export, lun: try ledger.lun(of: device.identity, on: export.target, wanted: export.lun),
            identity: device.identity, devicePath: path, deviceNumber: device.number.description,
            credentials: credentials)
    }
}

/// Which exports may fail to be resolved, and which of them have: they are left as they are, in the kernel and in the
/// record.
struct Tolerance {
    /// Of those that may.
    let volumes: Set<VolumeName>
    private(set) var failures: [Failure] = []
    /// What may be in the kernel of those that have.
    private(set) var left: Set<LIOOwnership.Item> = []

    /// - Parameter volumes: none where nothing may fail.
    init(of volumes: Set<VolumeName> = []) { self.volumes = volumes }

    /// Takes what belongs to an export from what may be changed, where it may fail; throws the error where it may not.
    mutating func leave(_ export: ISCSIExport, in owned: inout LIOOwnership, because error: any Error) throws {
        guard volumes.contains(export.volume) else { throw error }
        let cause = Failure(error, doing: "cannot export '\(export.volume)' over iSCSI")
        failures.append(
            Failure(
                cause.code, "the export of '\(export.volume)' cannot be served now, and is left as it is",
                causes: [cause]))
        // A change that was cut off may have left its volume on another target, and another volume on its own.
        let items = owned.items.filter { $0.volume == export.volume || $0.target == export.target }
        left.formUnion(items)
        owned.items.subtract(items)
    }
}

/// What is asked for as the host has it, and what of what is served may be changed for it.
private struct Resolution {
    var exports: [ResolvedExport]
    var discoveryCHAPFile: String?
    var owned: LIOOwnership

    func state() throws -> ResolvedState {
        ResolvedState(exports: exports, discovery: try discoveryCHAPFile.map(CHAPFile.read))
    }

    func difference(from found: any TargetView) throws -> TargetDifference {
        try found.difference(to: try state(), owned)
    }
}
