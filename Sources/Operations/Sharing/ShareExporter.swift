import AoE
import BlockServer
import HostModel
import Hosts
import ISCSI
import ISCSIHost
import Serving
import Storage

/// This host's side of a share: its volumes served to the others.
struct ShareExporter: Sendable {
    let host: HostContext
    /// Told of exports that are none of the share's, and cannot be served now.
    let say: @Sendable (String) -> Void

    /// Serves every volume of the record to the hosts; what is served already stays as it is, but for hosts that are new.
    /// - Parameter keep: stores the record, before anything is changed.
    /// - Returns: what each host is to attach.
    func serve(
        _ request: ShareRequest, _ record: inout ShareRecord, to remotes: [RemoteHost],
        keep: (ShareRecord) throws -> Void
    ) async throws -> [HostName: [SharedTarget]] {
        switch request.way {
        case .iscsi(let portals, let chapFile):
            return try await serveOverISCSI(&record, to: remotes, portals, chapFile, keep)
        case .aoe(let shelf, let interfaces):
            let targets = try await serveOverAoE(&record, shelf, interfaces, keep)
            return Dictionary(remotes.map { ($0.name, targets) }) { first, _ in first }
        }
    }

    // MARK: iSCSI

    private func serveOverISCSI(
        _ record: inout ShareRecord, to remotes: [RemoteHost], _ portals: [Portal], _ chapFile: String?,
        _ keep: (ShareRecord) throws -> Void
    ) async throws -> [HostName: [SharedTarget]] {
        let access = try await access(for: remotes, portals, chapFile)
        let exporter = host.iSCSIExporter
        let known = try await exporter.recorded().exports
        let exports = try record.exports(from: known, access, earlier: try earlierVolumes(record)) { volume in
            try ISCSIExport.standardTarget(of: volume, on: host.name)
        }
        try keep(record)
        try await apply { state in
            for export in exports {
                state.exports.removeAll { $0.volume == export.volume }
                state.exports.append(export)
            }
        }
        let served = try await exporter.list()
        return try access.places.mapValues { portals in try exports.map { try target($0, by: portals, served) } }
    }

    /// Changes the exports of the share. One of another volume that cannot be served now is left as it is.
    private func apply(_ change: (inout ISCSIState) throws -> Void) async throws {
        var manner = ISCSIExporter.Manner()
        manner.leavesOthers = true
        let outcome = try await host.iSCSIExporter.apply(manner, change)
        for failure in outcome.failures { say("warning: " + failure.detailedDescription) }
    }

    /// - Parameter portals: what every host is to use; none for the address that each is reached from.
    private func access(
        for remotes: [RemoteHost], _ portals: [Portal], _ chapFile: String?
    ) async throws -> ShareAccess {
        var names: [(host: HostName, initiator: ISCSIName)] = []
        for remote in remotes { names.append((remote.name, try await remote.share(.initiator, \.initiator))) }
        return try access(for: names, portals, chapFile)
    }

    private func access(
        for names: [(host: HostName, initiator: ISCSIName)], _ portals: [Portal], _ chapFile: String?
    ) throws -> ShareAccess {
        var access = ShareAccess(initiators: [], portals: [], chapFile: chapFile)
        for (host, initiator) in names {
            try access.admit(host, as: initiator, by: try portals.isEmpty ? [place(towards: host)] : portals)
        }
        return access
    }

    /// The address that packets to a host leave from.
    private func place(towards host: HostName) throws -> Portal {
        let local = try HostAddresses.between(host, local: nil).local
        return try Portal(local.contains(":") ? "[\(local)]" : local)
    }

    /// Those that the share had before this run.
    private func earlierVolumes(_ record: ShareRecord) throws -> [VolumeName] {
        try store.all().first { $0.domain == record.domain }?.volumes ?? []
    }

    private func target(
        _ export: ISCSIExport, by portals: [Portal], _ served: [ISCSIExportStatus]
    ) throws -> SharedTarget {
        guard let status = served.first(where: { $0.volume == export.volume }), let lun = status.lun,
            let wwid = status.wwid, status.state == .serving
        else { throw Failure(.inconsistent, "'\(export.volume)' is not served", remedy: "see 'xenlvs exports'") }
        return SharedTarget(
            name: export.volume,
            way: .iscsi(target: export.target, lun: lun, portals: portals, chapFile: export.chapFile),
            identity: .wwid(wwid))
    }

    // MARK: ATA over Ethernet

    private func serveOverAoE(
        _ record: inout ShareRecord, _ shelf: Int, _ interfaces: [InterfaceName], _ keep: (ShareRecord) throws -> Void
    ) async throws -> [SharedTarget] {
        let known = try await ask(.list(statistics: false)).map(\.record)
        record.noteExports({ volume in known.contains { $0.volume == volume } }, earlier: try earlierVolumes(record))
        try keep(record)
        var slots = Set(known.filter { Int($0.address.shelf) == shelf }.map { Int($0.address.slot) })
        var targets: [SharedTarget] = []
        for volume in record.volumes {
            var address = known.first { $0.volume == volume }?.address
            if address == nil {
                try await ServedVolume.checkUnused(volume, of: host, besides: record.users)
                let slot = (0...254).first { !slots.contains($0) } ?? 255
                slots.insert(slot)
                let fresh = try AoEAddress(shelf: shelf, slot: slot)
                _ = try await ask(
                    .export(
                        try ExportRecord(
                            address: fresh, path: host.links.path(of: volume), volume: volume,
                            interfaces: interfaces.map(\.text), isReadOnly: false, allowed: [], durability: .durable,
                            cache: .automatic, queueDepth: 128)))
                address = fresh
            }
            guard let address else { continue }
            targets.append(
                SharedTarget(
                    name: volume, way: .aoe(address, interfaces: []),
                    identity: .serial(DeviceSerial.text(ofVolume: volume)),
                    takesFlushes: try record.runsHere == true
                        && BlockDevice(at: host.links.path(of: volume)).hasVolatileCache()))
        }
        return targets
    }

    private var store: ShareStore { ShareStore(host.paths) }

    private func ask(_ request: ControlRequest) async throws -> [ExportStatus] {
        try await ControlClient.ask(request, of: host.paths)
    }

    // MARK: The end

    /// Ends the exports that were made for the share, and takes back what it has added to others.
    /// - Returns: what was removed, in words.
    func end(_ record: ShareRecord) async throws -> [String] {
        var removed: [String] = []
        switch record.way {
        case .iscsi: try await apply { removed = try record.takeBack(from: &$0) }
        case .aoe:
            for status in try await ask(.list(statistics: false)) {
                guard let volume = status.record.volume, record.volumes.contains(volume),
                    !record.exportedBefore.contains(volume)
                else { continue }
                _ = try await ask(.unexport(address: status.record.address.description, force: true))
                removed.append("the export of \(volume)")
            }
        }
        return removed
    }
}
