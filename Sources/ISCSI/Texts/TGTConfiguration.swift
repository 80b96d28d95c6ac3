import HostModel

/// The configuration of tgt, the target in user space, for hosts whose kernel has none: `targets.conf`, as `tgt-admin`
/// reads it (tgt 1.0.85, targets.conf(5)).
public struct TGTConfiguration: Sendable, Equatable {
    /// The text of the file. It holds secrets: mode 0600.
    public let text: String
    /// The addresses that `tgtd` has to be started with: its portals belong to the daemon and not to targets.
    public let portals: [Portal]

    /// - Throws: `.refused` for what tgt cannot do.
    public init(_ state: ResolvedState) throws(Failure) {
        try TGT.check(state)
        var lines: [String] = []
        if let discovery = state.discovery {
            lines.append("incomingdiscoveryuser \(discovery.initiator.user) \(discovery.initiator.secret.text)")
            if let account = discovery.target {
                lines.append("outgoingdiscoveryuser \(account.user) \(account.secret.text)")
            }
        }
        for export in state.exports { lines += Self.lines(of: export) }
        text = lines.map { $0 + "\n" }.joined()
        portals = Set(state.exports.flatMap(\.export.portals)).sorted()
    }

    private static func lines(of export: ResolvedExport) -> [String] {
        var lines = ["<target \(export.export.target)>"]
        lines += [
            "    <backing-store \(export.devicePath)>", "        bs-type \(TGT.store)",
            "        lun \(export.lun)", "        scsi_id \(TGT.identification(of: export))",
            "        scsi_sn \(export.identity.serial)",
        ]
        if let flags = TGT.storeFlags(of: export) { lines.append("        bsoflags \(flags)") }
        if export.export.isReadOnly { lines.append("        readonly 1") }
        if export.export.isThin { lines.append("        params thin_provisioning=1") }
        lines.append("    </backing-store>")
        lines += TGT.accounts(of: export).map { account, user in
            "    \(user.isOutgoing ? "outgoinguser" : "incominguser") \(account.user) \(account.secret.text)"
        }
        lines += export.export.initiators.map { "    initiator-name \($0.name)" }
        lines.append("    initiator-address \(TGT.nobodysAddress)")
        return lines + ["</target>"]
    }
}
