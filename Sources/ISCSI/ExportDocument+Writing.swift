import HostModel

extension ExportDocument {
    /// The document that reads as `state`. What stands in it needs no quotes: names, addresses and numbers are plain, and
    /// paths are quoted.
    public static func text(of state: ISCSIState) -> String {
        var lines = ["iscsi:"]
        if let file = state.discoveryCHAPFile { lines.append("  discovery_chap: \(quoted(file))") }
        lines.append(state.exports.isEmpty ? "  exports: []" : "  exports:")
        for export in state.exports { lines += self.lines(of: export) }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func lines(of export: ISCSIExport) -> [String] {
        var values = [("volume", quoted(export.volume.text)), ("target", quoted(export.target.text))]
        if let lun = export.lun { values.append(("lun", "\(lun)")) }
        values.append(("portals", "[\(export.portals.map { quoted($0.description) }.joined(separator: ", "))]"))
        if let file = export.chapFile { values.append(("chap", quoted(file))) }
        if export.headerDigest != .either { values.append(("header_digest", export.headerDigest.rawValue)) }
        if export.dataDigest != .either { values.append(("data_digest", export.dataDigest.rawValue)) }
        for (key, isSet) in [
            ("read_only", export.isReadOnly), ("thin", export.isThin),
            ("cluster_file_system", export.hasClusterFileSystem == true),
        ] where isSet { values.append((key, "true")) }
        if let domain = export.domain { values.append(("domain", quoted(domain.text))) }
        let lines = values.enumerated().map { "    \($0.offset == 0 ? "-" : " ") \($0.element.0): \($0.element.1)" }
        return lines + ["      initiators:"] + export.initiators.flatMap { self.lines(of: $0) }
    }

    private static func lines(of initiator: AllowedInitiator) -> [String] {
        ["        - name: \(quoted(initiator.name.text))"]
            + (initiator.chapFile.map { ["          chap: \(quoted($0))"] } ?? [])
            + (initiator.isReadOnly ? ["          read_only: true"] : [])
    }

    private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
}
