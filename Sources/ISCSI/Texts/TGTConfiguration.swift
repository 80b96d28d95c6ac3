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
        var lines: [String] = []
        if let discovery = state.discovery {
            lines.append("incomingdiscoveryuser \(discovery.initiator.user) \(discovery.initiator.secret.text)")
            if let account = discovery.target {
                lines.append("outgoingdiscoveryuser \(account.user) \(account.secret.text)")
            }
        }
        for export in state.exports {
            try Self.check(export)
            lines += Self.lines(of: export)
        }
        text = lines.map { $0 + "\n" }.joined()
        portals = Set(state.exports.flatMap(\.export.portals)).sorted()
        if let first = state.exports.first?.export.portals.sorted(),
            let other = state.exports.first(where: { $0.export.portals.sorted() != first })
        {
            throw Failure(
                .refused, "'\(other.export.volume)' cannot be exported by tgt",
                why: "all of its targets have the same portals", remedy: "give all exports the same")
        }
    }

    private static func check(_ export: ResolvedExport) throws(Failure) {
        let why: String? =
            if export.export.initiators.contains(where: \.isReadOnly) {
                "it cannot be read-only for one initiator alone"
            } else if export.export.headerDigest == .crc32c || export.export.dataDigest == .crc32c {
                "its file cannot ask for digests"
            } else if Set(export.credentials.values.map { $0.target?.user }).count > 1 {
                "a target of it proves itself to all initiators by the same user"
            } else if export.devicePath.contains(where: { $0.isWhitespace || "<>#\"".contains($0) }) {
                "it cannot take the path '\(export.devicePath)'"
            } else {
                nil
            }
        guard let why else { return }
        throw Failure(.refused, "'\(export.export.volume)' cannot be exported by tgt", why: why)
    }

    private static func lines(of export: ResolvedExport) -> [String] {
        var lines = ["<target \(export.export.target)>"]
        // Only the synchronous store passes UNMAP on; the other does not go through the page cache.
        lines += [
            "    <backing-store \(export.devicePath)>", "        bs-type \(export.export.isThin ? "rdwr" : "aio")",
            "        lun \(export.lun)", "        scsi_id \(export.identity.serial)",
            "        scsi_sn \(export.identity.serial)",
        ]
        if export.export.isReadOnly { lines.append("        readonly 1") }
        if export.export.isThin { lines.append("        params thin_provisioning=1") }
        lines.append("    </backing-store>")
        var incoming: [CHAPAccount] = []
        for initiator in export.export.initiators {
            guard let account = export.credentials[initiator.name]?.initiator else { continue }
            if !incoming.contains(account) { incoming.append(account) }
        }
        lines += incoming.map { "    incominguser \($0.user) \($0.secret.text)" }
        let outgoing = export.export.initiators.compactMap { export.credentials[$0.name]?.target }.first
        if let outgoing { lines.append("    outgoinguser \(outgoing.user) \(outgoing.secret.text)") }
        lines += export.export.initiators.map { "    initiator-name \($0.name)" }
        return lines + ["</target>"]
    }
}
