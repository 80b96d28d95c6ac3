import HostModel
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

    public var target: String
    public var state: State
    public var volume: VolumeName?
    public var lun: Int?
    public var wwid: String?
    public var portals: [String]
    public var initiators: [String]
    public var sessions: [LIOSession]
    public var isReadOnly: Bool
    public var isThin: Bool
    public var hasCHAP: Bool
    public var why: String?
}

extension ISCSIExporter {
    /// Every export, and every target that somebody else has made. Changes nothing.
    public func list() async throws -> [ISCSIExportStatus] {
        let record = try store.load()
        let found = try LIOSnapshot(reading: kernel)
        var rows: [ISCSIExportStatus] = []
        for export in record.state.exports {
            rows.append(await status(of: export, record, found))
        }
        let foreign = ForeignObjects(found, record.owned).targets.sorted { $0.key < $1.key }
        return rows + foreign.map { name, target in ISCSIExportStatus(foreign: name, target) }
    }

    private func status(
        of export: ISCSIExport, _ record: ISCSIRecord, _ found: LIOSnapshot
    ) async -> ISCSIExportStatus {
        let target = found.targets[export.target.text]
        var status = ISCSIExportStatus(
            target: export.target.text, state: .serving, volume: export.volume,
            portals: export.portals.map(\.description),
            initiators: export.initiators.map(\.name.text), sessions: target?.sessions ?? [],
            isReadOnly: export.isReadOnly, isThin: export.isThin,
            hasCHAP: export.initiators.contains { export.chapFile(of: $0) != nil })
        let known = record.ledger.entries.last { $0.target == export.target }
        (status.lun, status.wwid) = (known?.lun, known?.identity.wwid)
        do {
            var (alone, failures) = (record, [Failure]())
            alone.owned = LIOOwnership(items: [.init(target: export.target, volume: export.volume)])
            let rest = try await difference(
                from: found, to: ISCSIState(exports: [export]), &alone, Manner(), &failures)
            guard let first = rest.writes.first else { return status }
            status.why = target == nil ? "the kernel does not serve it" : "it differs: '\(first)' would be next"
        } catch {
            let failure = Failure(error, doing: "cannot look at it")
            status.why = failure.why ?? failure.what
        }
        status.state = .failed
        return status
    }
}

extension ISCSIExportStatus {
    fileprivate init(foreign name: String, _ target: LIOTarget) {
        let groups = target.groups.values
        self.init(
            target: name, state: .foreign, volume: nil, lun: nil, wwid: nil,
            portals: groups.flatMap(\.portals).sorted(), initiators: groups.flatMap(\.initiators.keys).sorted(),
            sessions: target.sessions, isReadOnly: false, isThin: false,
            hasCHAP: groups.contains { $0.settings["attrib/authentication"] == "1" })
    }
}
