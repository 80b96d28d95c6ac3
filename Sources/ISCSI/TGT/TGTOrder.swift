import HostModel

/// One order to tgt's daemon, as a value: what `tgtadm` of tgt 1.0.85 sends for the command line that it is shown as.
///
/// The daemon takes a header of fixed size and a text of parameters on a local socket (seen with strace(1)). It is spoken to
/// there and not by `tgtadm`, because a CHAP secret would be an argument of that, for everybody to read.
public struct TGTOrder: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    enum Mode: UInt32 {
        case target = 1
        case unit, portal
        case session = 5
        case connection, account
    }
    enum Action: UInt32 { case new, delete, show, bind, unbind, update }

    let mode: Mode
    let action: Action
    var target: Int32 = -1
    var session: UInt64 = 0
    var connection: UInt32 = 0
    var lun: Int64 = -1
    var isOutgoing = false
    /// As the daemon takes them; may hold a secret.
    var parameters = ""
    /// The words that `tgtadm` takes for the parameters, without secrets.
    var words: [String] = []

    static func show(_ mode: Mode) -> TGTOrder { TGTOrder(mode: mode, action: .show) }

    static func newTarget(_ number: Int32, _ name: ISCSIName) -> TGTOrder {
        TGTOrder(
            mode: .target, action: .new, target: number, parameters: "targetname=\(name)",
            words: ["--targetname", name.text])
    }

    static func deleteTarget(_ number: Int32) -> TGTOrder {
        TGTOrder(mode: .target, action: .delete, target: number)
    }

    static func newUnit(_ export: ResolvedExport, on target: Int32) -> TGTOrder {
        let flags = TGT.storeFlags(of: export)
        return TGTOrder(
            mode: .unit, action: .new, target: target, lun: Int64(export.lun),
            parameters: "path=\(export.devicePath),bstype=\(TGT.store)" + (flags.map { ",bsoflags=\($0)" } ?? ""),
            words: ["--backing-store", export.devicePath, "--bstype", TGT.store]
                + (flags.map { ["--bsoflags", $0] } ?? []))
    }

    static func updateUnit(_ export: ResolvedExport, on target: Int32) -> TGTOrder {
        let values = TGT.parameters(of: export).map { "\($0.key)=\($0.value)" }.joined(separator: ",")
        return TGTOrder(
            mode: .unit, action: .update, target: target, lun: Int64(export.lun),
            parameters: "targetOps \(values),", words: ["--params", values])
    }

    static func deleteUnit(_ lun: Int64, on target: Int32) -> TGTOrder {
        TGTOrder(mode: .unit, action: .delete, target: target, lun: lun)
    }

    static func newAccount(_ account: CHAPAccount) -> TGTOrder {
        TGTOrder(
            mode: .account, action: .new, parameters: "user=\(account.user),password=\(account.secret.text)",
            words: ["--user", account.user, "--password", account.secret.description])
    }

    static func deleteAccount(_ user: String) -> TGTOrder {
        TGTOrder(mode: .account, action: .delete, parameters: "user=\(user)", words: ["--user", user])
    }

    static func account(_ user: TGTSnapshot.User, _ action: Action, on target: Int32) -> TGTOrder {
        TGTOrder(
            mode: .account, action: action, target: target, isOutgoing: user.isOutgoing,
            parameters: "user=\(user.name)", words: ["--user", user.name])
    }

    /// - Parameter rule: an initiator's name, or an address.
    static func access(_ rule: String, _ action: Action, on target: Int32) -> TGTOrder {
        let kind = ISCSIName.objection(to: rule) == nil ? "initiator-name" : "initiator-address"
        return TGTOrder(
            mode: .target, action: action, target: target, parameters: "\(kind)=\(rule)", words: ["--\(kind)", rule])
    }

    static func endConnection(_ connection: UInt32, of session: UInt64, on target: Int32) -> TGTOrder {
        TGTOrder(mode: .connection, action: .delete, target: target, session: session, connection: connection)
    }

    static func portal(_ portal: String, _ action: Action) -> TGTOrder {
        TGTOrder(
            mode: .portal, action: action, parameters: "portalOps portal=\(portal),",
            words: ["--param", "portal=\(portal)"])
    }

    /// What `tgtadm` sends: 120 bytes of header, then the parameters with a zero behind them.
    package var request: [UInt8] {
        var bytes: [UInt8] = []
        func put(_ value: some FixedWidthInteger) {
            withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
        }
        let text = parameters.isEmpty ? [] : Array(parameters.utf8) + [0]
        put(mode.rawValue)
        put(action.rawValue)
        // The driver's name.
        bytes += Array("iscsi".utf8) + [UInt8](repeating: 0, count: 64 - 5)
        put(UInt32(120 + text.count))
        put(target)
        put(session)
        put(lun)
        put(connection)
        // Host number and device type: none, and a disk.
        put(UInt64(0))
        put(UInt32(isOutgoing ? 1 : 0))
        put(UInt64(0))
        return bytes + text
    }

    /// The command line that does the same, secrets left out.
    public var description: String {
        let modes: [Mode: String] = [
            .target: "target", .unit: "logicalunit", .portal: "portal", .session: "session", .connection: "conn",
            .account: "account",
        ]
        var line = ["tgtadm", "--lld", "iscsi", "--mode", modes[mode] ?? "", "--op", "\(action)"]
        if target >= 0 { line += ["--tid", "\(target)"] }
        if mode == .connection { line += ["--sid", "\(session)", "--cid", "\(connection)"] }
        if lun >= 0 { line += ["--lun", "\(lun)"] }
        line += words.map { $0 == "[secret]" ? $0 : Command.quoted($0) }
        return (line + (isOutgoing ? ["--outgoing"] : [])).joined(separator: " ")
    }

    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// What a volume's disk is in tgt.
enum TGT {
    /// The store that brings flushes to the device; `aio` passes them over.
    static let store = "rdwr"

    /// Around the page cache where guests of this host may have the device, too: what they write has to be seen. That costs
    /// COMPARE AND WRITE, and makes WRITE SAME slow.
    static func storeFlags(of export: ResolvedExport) -> String? {
        export.export.domain != nil || export.export.hasClusterFileSystem == true ? "direct" : nil
    }

    /// tgt lets in whoever matches one of the rules, for names or for addresses (`login_start`, usr/iscsi/iscsid.c), and
    /// `tgt-admin` gives a target without an address the rule for all of them. This is the one that no initiator has.
    static let nobodysAddress = "255.255.255.255"

    /// The identity is LIO's for the same volume: tgt makes the last 32 digits of `scsi_id` its NAA name.
    static func identification(of export: ResolvedExport) -> String { String(export.identity.wwid.dropFirst()) }

    static func parameters(of export: ResolvedExport) -> [(key: String, value: String)] {
        [
            ("scsi_id", identification(of: export)), ("scsi_sn", export.identity.serial),
            ("readonly", export.export.isReadOnly ? "1" : "0"),
            ("thin_provisioning", export.export.isThin ? "1" : "0"),
        ]
    }

    /// Throws `.refused` for what tgt cannot do.
    static func check(_ state: ResolvedState) throws(Failure) {
        for export in state.exports {
            guard let why = objection(to: export) else { continue }
            throw Failure(.refused, "'\(export.export.volume)' cannot be exported by tgt", why: why)
        }
        guard let first = state.exports.first?.export.portals.sorted() else { return }
        if let other = state.exports.first(where: { $0.export.portals.sorted() != first }) {
            throw Failure(
                .refused, "'\(other.export.volume)' cannot be exported by tgt",
                why: "all of its targets have the same portals", remedy: "give all exports the same")
        }
        var secrets: [String: CHAPAccount] = [:]
        for account in state.exports.flatMap({ accounts(of: $0).map(\.account) }) {
            if let other = secrets.updateValue(account, forKey: account.user), other != account {
                throw Failure(
                    .refused, "the CHAP user '\(account.user)' cannot be used",
                    why: "tgt has one secret for a user, and this one has two in the exports' CHAP files",
                    remedy: "give the users different names")
            }
        }
    }

    private static func objection(to export: ResolvedExport) -> String? {
        if export.export.initiators.contains(where: \.isReadOnly) {
            "it cannot be read-only for one initiator alone"
        } else if export.export.headerDigest == .crc32c || export.export.dataDigest == .crc32c {
            "it cannot require digests"
        } else if Set(export.credentials.values.map { $0.target?.user }).count > 1 {
            "a target of it proves itself to all initiators by the same user"
        } else if export.devicePath.contains(where: { $0.isWhitespace || "<>#\",".contains($0) }) {
            "it cannot take the path '\(export.devicePath)'"
        } else {
            nil
        }
    }

    /// Whoever may log in, and as whom the target proves itself, in the order of the initiators.
    static func accounts(of export: ResolvedExport) -> [(account: CHAPAccount, user: TGTSnapshot.User)] {
        var accounts: [(account: CHAPAccount, user: TGTSnapshot.User)] = []
        for initiator in export.export.initiators {
            guard let credentials = export.credentials[initiator.name] else { continue }
            for (account, isOutgoing) in [(credentials.initiator, false)]
                + (credentials.target.map { [($0, true)] } ?? [])
            {
                let user = TGTSnapshot.User(name: account.user, isOutgoing: isOutgoing)
                if !accounts.contains(where: { $0.user == user }) { accounts.append((account, user)) }
            }
        }
        return accounts
    }
}
