import HostModel
import ISCSI
import Storage

extension ISCSIExporter {
    /// Asks the host about every export, and compares with the kernel.
    ///
    /// With a tolerant manner an export that cannot be resolved is left as it is.
    func difference(
        to state: ISCSIState, _ record: inout ISCSIRecord, _ manner: Manner, _ failures: inout [Failure]
    ) async throws -> LIODifference {
        try await difference(
            from: try LIOSnapshot(reading: kernel), to: state, &record, manner, &failures)
    }

    func difference(
        from found: LIOSnapshot, to state: ISCSIState, _ record: inout ISCSIRecord, _ manner: Manner,
        _ failures: inout [Failure]
    ) async throws -> LIODifference {
        var owned = record.owned
        var resolved: [ResolvedExport] = []
        var ledger = record.ledger
        for export in state.exports {
            do { resolved.append(try await resolve(export, found, owned, &ledger)) } catch {
                guard manner.isTolerant else { throw error }
                failures.append(Failure(error, doing: "cannot export '\(export.volume)'"))
                owned.items.remove(LIOOwnership.Item(target: export.target, volume: export.volume))
            }
        }
        record.ledger = ledger
        let discovery = try state.discoveryCHAPFile.map(CHAPFile.read)
        return try LIODifference(
            from: found, to: ResolvedState(exports: resolved, discovery: discovery), owned: owned)
    }

    private func resolve(
        _ export: ISCSIExport, _ found: LIOSnapshot, _ owned: LIOOwnership, _ ledger: inout LUNLedger
    ) async throws -> ResolvedExport {
        let what = "cannot export '\(export.volume)' over iSCSI"
        try LocalAddresses.check(export.portals, doing: what)
        var credentials: [ISCSIName: CHAPCredentials] = [:]
        for initiator in export.initiators {
            if let file = export.chapFile(of: initiator) { credentials[initiator.name] = try CHAPFile.read(file) }
        }
        let path = questions.devicePath(export.volume)
        let isServed = found.serves(export.volume, ownedBy: owned)
        try await questions.scrutiny(export.volume, isServed)
        let device = try ExportedDevice(at: path, of: export)
        return ResolvedExport(
            export, lun: try ledger.lun(of: device.identity, on: export.target, wanted: export.lun),
            identity: device.identity, devicePath: path, deviceNumber: device.number.description,
            credentials: credentials)
    }
}
