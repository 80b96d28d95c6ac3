import ArgumentParser
import HostModel
import ISCSI
import ISCSIHost
import Reporting

/// By what an export is reached.
enum ExportProtocol: String, Encodable, ExpressibleByArgument, CaseIterable { case aoe, iscsi }

/// An export of either kind, for one list of JSON objects.
enum AnyExportRow: Encodable {
    case aoe(ExportRow)
    case iscsi(ISCSIExportRow)

    func encode(to encoder: any Encoder) throws {
        switch self {
        case .aoe(let row): try row.encode(to: encoder)
        case .iscsi(let row): try row.encode(to: encoder)
        }
    }
}

/// An iSCSI export as a row, and as JSON: the fields are part of the command line's contract.
struct ISCSIExportRow: Listable {
    private let status: ISCSIExportStatus

    init(_ status: ISCSIExportStatus) { self.status = status }

    static var columns: [Table.Column] {
        [
            Table.Column("TARGET"), Table.Column("LUN", .right), Table.Column("STATE"), Table.Column("MODE"),
            Table.Column("PORTALS"), Table.Column("WHAT"), Table.Column("LOGGED IN", shrinks: true),
            Table.Column("WHY", shrinks: true),
        ]
    }

    var cells: [String] {
        let mode = [status.isReadOnly ? "read-only" : "read-write"] + (status.isThin ? ["thin"] : [])
        return [
            status.target ?? "-", status.lun?.description ?? "-", status.state.rawValue,
            status.state == .foreign ? "-" : (mode + (status.hasCHAP ? ["chap"] : [])).joined(separator: ","),
            status.portals.joined(separator: ","), what,
            status.sessions.map(\.initiator).joined(separator: ","), status.why ?? "",
        ]
    }

    private var what: String {
        if let volume = status.volume { return volume.text }
        guard let backstore = status.backstore else { return "-" }
        return "backstore \(backstore)" + (status.devicePath.map { " of \($0)" } ?? "")
    }

    private enum CodingKeys: String, CodingKey {
        case kind = "protocol"
        case target, state, volume, lun, wwid, backstore, path, portals, initiators, sessions, readOnly, thin, chap, why
    }

    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(ExportProtocol.iscsi, forKey: .kind)
        try values.encodeIfPresent(status.target, forKey: .target)
        try values.encode(status.state, forKey: .state)
        try values.encodeIfPresent(status.volume, forKey: .volume)
        try values.encodeIfPresent(status.lun, forKey: .lun)
        try values.encodeIfPresent(status.wwid, forKey: .wwid)
        try values.encodeIfPresent(status.backstore, forKey: .backstore)
        try values.encodeIfPresent(status.devicePath, forKey: .path)
        try values.encode(status.portals, forKey: .portals)
        try values.encode(status.initiators, forKey: .initiators)
        try values.encode(status.sessions, forKey: .sessions)
        try values.encode(status.isReadOnly, forKey: .readOnly)
        try values.encode(status.isThin, forKey: .thin)
        try values.encode(status.hasCHAP, forKey: .chap)
        try values.encodeIfPresent(status.why, forKey: .why)
    }
}
