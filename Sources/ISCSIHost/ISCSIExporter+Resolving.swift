import HostModel
import ISCSI
import Storage

extension ISCSIExporter {
    /// Asks the host about every export, and compares with what is served.
    ///
    /// With a tolerant manner an export that cannot be resolved is left as it is.
    func difference(
        to state: ISCSIState, _ record: inout ISCSIRecord, _ manner: Manner, _ failures: inout [Failure]
    ) async throws -> TargetDifference {
        try await difference(
            from: try await backend.look(), to: state, &record, manner, &failures)
    }

    func difference(
        from found: any TargetView, to state: ISCSIState, _ record: inout ISCSIRecord, _ manner: Manner,
        _ failures: inout [Failure]
    ) async throws -> TargetDifference {
        let resolution = try await resolve(state, found, &record, manner, &failures)
        return try resolution.difference(from: found)
    }

    /// What is asked for, or recorded, with all that the host has to say about it. Changes nothing.
    public func resolved(_ state: ISCSIState? = nil) async throws -> ResolvedState {
        try await checkCanBeRead()
        var (record, failures) = (try loadRecord(), [Failure]())
        let state = state ?? record.state
        try state.validate()
        return try await resolve(state, try await backend.look(), &record, Manner(), &failures).state()
    }

    private func resolve(
        _ state: ISCSIState, _ found: any TargetView, _ record: inout ISCSIRecord, _ manner: Manner,
        _ failures: inout [Failure]
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
                guard manner.isTolerant else { throw error }
                failures.append(Failure(error, doing: "cannot export '\(export.volume)'"))
                owned.items.remove(LIOOwnership.Item(target: export.target, volume: export.volume))
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
        let device = try ExportedDevice(at: path, of: export)
        return ResolvedExport(
            export, lun: try ledger.lun(of: device.identity, on: export.target, wanted: export.lun),
            identity: device.identity, devicePath: path, deviceNumber: device.number.description,
            credentials: credentials)
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
