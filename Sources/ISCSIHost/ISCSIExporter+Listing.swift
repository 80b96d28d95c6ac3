import HostModel
import Hosts
import ISCSI

/// An iSCSI export as it stands.
public struct ISCSIExportStatus: Sendable {
    public enum State: String, Sendable, Encodable {
        /// As it is recorded.
        case serving
        /// The kernel does not have it, or has it otherwise.
        case failed
        /// Somebody else has made it.
        case foreign
    }

    /// Nil for a backstore that no target of somebody else's has.
    public var target: String?
    public var state: State
    public var volume: VolumeName?
    public var lun: Int?
    public var wwid: String?
    /// Of somebody else's, without a target: its place in the kernel's directory, `core/iblock_0/vol1`.
    public var backstore: String?
    /// The path that it opens its device under.
    public var devicePath: String?
    public var portals: [String]
    public var initiators: [String]
    public var sessions: [TargetSession]
    public var isReadOnly: Bool
    public var isThin: Bool
    public var hasCHAP: Bool
    public var why: String?
}

extension ISCSIExporter {
    /// Every export, and every target and backstore that somebody else has made. Changes nothing.
    public func list() async throws -> [ISCSIExportStatus] {
        try await checkCanBeRead()
        let record = try loadRecord()
        let found = try await backend.look()
        var rows: [ISCSIExportStatus] = []
        for export in record.state.exports {
            rows.append(await status(of: export, record, found))
        }
        rows += found.foreign(record.owned).map { ISCSIExportStatus($0) }
        return rows + found.foreignBackstores(record.owned).map { ISCSIExportStatus($0) }
    }

    private func status(
        of export: ISCSIExport, _ record: ISCSIRecord, _ found: any TargetView
    ) async -> ISCSIExportStatus {
        let sessions = found.sessions(of: export.target)
        var status = ISCSIExportStatus(
            target: export.target.text, state: .serving, volume: export.volume,
            portals: export.portals.map(\.description),
            initiators: export.initiators.map(\.name.text), sessions: sessions ?? [],
            isReadOnly: export.isReadOnly, isThin: export.isThin,
            hasCHAP: export.initiators.contains { export.chapFile(of: $0) != nil })
        let known = record.ledger.entries.last { $0.target == export.target }
        (status.lun, status.wwid) = (known?.lun, known?.identity.wwid)
        do {
            var (alone, tolerance) = (record, Tolerance())
            alone.owned = LIOOwnership(items: [.init(target: export.target, volume: export.volume)])
            let rest = try await difference(
                from: found.alone(with: export.target, record.owned), to: ISCSIState(exports: [export]), &alone,
                &tolerance)
            guard let first = rest.orders.first else { return status }
            let server = program == .lio ? "the kernel" : "tgtd"
            status.why = sessions == nil ? "\(server) does not serve it" : "it differs: '\(first)' would be next"
        } catch {
            let failure = Failure(error, doing: "cannot look at it")
            status.why = failure.why ?? failure.what
        }
        status.state = .failed
        return status
    }
}

extension ISCSIExportStatus {
    fileprivate init(_ foreign: ForeignTarget) {
        self.init(
            target: foreign.name, state: .foreign, portals: foreign.portals, initiators: foreign.initiators,
            sessions: foreign.sessions, isReadOnly: false, isThin: false, hasCHAP: foreign.hasCHAP)
    }

    fileprivate init(_ foreign: ForeignBackstore) {
        self.init(
            target: nil, state: .foreign, backstore: foreign.path, devicePath: foreign.devicePath, portals: [],
            initiators: [], sessions: [], isReadOnly: false, isThin: false, hasCHAP: false)
    }
}
