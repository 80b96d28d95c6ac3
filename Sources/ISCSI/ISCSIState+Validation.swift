import HostModel

extension ISCSIState {
    /// Checks what can be checked without looking at the host. Throws `.usage` with the first thing that is wrong.
    public func validate() throws(Failure) {
        for export in exports { try export.validate() }
        try Self.requireOnce(exports.map(\.volume)) { volume in
            Failure(
                .usage, "the volume '\(volume)' is exported twice",
                why: "two targets of one volume would let two initiators take it for two disks",
                remedy: "give one export all initiators and portals")
        }
        try Self.requireOnce(exports.map(\.target)) { target in
            Failure(.usage, "two exports have the target name '\(target)'", remedy: "give them different names")
        }
        if let discoveryCHAPFile { try ISCSIExport.check(file: discoveryCHAPFile, of: "discovery") }
    }

    fileprivate static func requireOnce<Item: Hashable>(
        _ items: [Item], else failure: (Item) -> Failure
    ) throws(Failure) {
        var seen: Set<Item> = []
        for item in items where !seen.insert(item).inserted { throw failure(item) }
    }
}

extension ISCSIExport {
    /// Checks the export by itself. Throws `.usage`.
    public func validate() throws(Failure) {
        let what = "cannot export '\(volume)' over iSCSI"
        if let lun, !Self.luns.contains(lun) {
            throw Failure(
                .usage, what, why: "\(lun) is no LUN for a volume",
                remedy: "give one from \(Self.luns.lowerBound) to \(Self.luns.upperBound), or none")
        }
        try checkPortals(doing: what)
        try checkInitiators(doing: what)
        if let chapFile { try Self.check(file: chapFile, of: "'\(volume)'") }
        for initiator in initiators {
            if let file = initiator.chapFile { try Self.check(file: file, of: initiator.name.text) }
        }
        let known = initiators.filter { chapFile(of: $0) != nil }
        if !known.isEmpty, known.count < initiators.count,
            let other = initiators.first(where: { chapFile(of: $0) == nil })
        {
            throw Failure(
                .usage, what, why: "\(other.name) has no CHAP file, and others have",
                remedy: "a target asks all of its initiators for CHAP or none: give the export a CHAP file")
        }
    }

    private func checkPortals(doing what: String) throws(Failure) {
        guard !portals.isEmpty, portals.count <= Self.portalLimit else {
            throw Failure(
                .usage, what, why: "it has \(portals.count) portals",
                remedy: "name the addresses of this host that it is served on, 1 to \(Self.portalLimit)")
        }
        try ISCSIState.requireOnce(portals) { Failure(.usage, what, why: "the portal \($0) is there twice") }
        if let portal = portals.first(where: \.isWildcard) {
            throw Failure(
                .usage, what, why: "\(portal) stands for every address, also of networks that nobody thought of",
                remedy: "name the addresses")
        }
    }

    private func checkInitiators(doing what: String) throws(Failure) {
        guard !initiators.isEmpty, initiators.count <= Self.initiatorLimit else {
            throw Failure(
                .usage, what, why: "it has \(initiators.count) initiators",
                remedy: "name those that may use it, 1 to \(Self.initiatorLimit); a host's name is in its "
                    + "/etc/iscsi/initiatorname.iscsi")
        }
        try ISCSIState.requireOnce(initiators.map(\.name)) {
            Failure(.usage, what, why: "the initiator \($0) is there twice")
        }
    }

    fileprivate static func check(file path: String, of subject: String) throws(Failure) {
        guard path.hasPrefix("/"), path.utf8.count < 4096, !path.utf8.contains(where: { $0 < 0x20 }) else {
            throw Failure(
                .usage, "'\(path.prefix(100))' is not a CHAP file for \(subject)", why: "its path is not absolute")
        }
    }
}
