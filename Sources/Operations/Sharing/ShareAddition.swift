import HostModel
import ISCSI

/// What the hosts of a share need to use an export.
struct ShareAccess: Sendable {
    var initiators: [ISCSIName]
    /// Those of all hosts.
    var portals: [Portal]
    /// Nil for the one that an export has.
    var chapFile: String?
    /// By which of them each host is to use it. A host need not reach what is meant for another one.
    var places: [HostName: [Portal]] = [:]

    /// Lets a host in. Throws `.refused` where another one has its name.
    mutating func admit(_ host: HostName, as name: ISCSIName, by portals: [Portal]) throws(Failure) {
        guard !initiators.contains(name) else {
            throw Failure(
                .refused, "cannot serve to \(host)", host: host.text,
                why: "it has the same initiator name as another host, \(name)",
                remedy: "a copy of an installation needs another one in \(InitiatorNameFile.path)")
        }
        let known = self.portals
        initiators.append(name)
        self.portals += portals.filter { !known.contains($0) }
        places[host] = portals
    }
}

/// What a share has changed in an iSCSI export that was there before it: `unshare` takes exactly that back.
public struct ShareAddition: Sendable, Equatable, Codable {
    public var volume: VolumeName
    public var initiators: [ISCSIName] = []
    public var portals: [Portal] = []
    /// The CHAP file that the share has given it; nil where it has left that alone.
    public var chapFile: String?
    public var formerCHAPFile: String?
    public var formerDomain: DomainName?
    public var formerlyHasClusterFileSystem: Bool?

    public init(volume: VolumeName) { self.volume = volume }

    /// Nothing so far, of an export as it was before the share.
    init(to export: ISCSIExport) {
        self.init(volume: export.volume)
        formerDomain = export.domain
        formerlyHasClusterFileSystem = export.hasClusterFileSystem
    }

    /// Takes down what makes `former` into `shared`; what was taken down by an earlier run stays.
    mutating func note(_ shared: ISCSIExport, insteadOf former: ISCSIExport) {
        let (names, places) = (former.initiators.map(\.name) + initiators, former.portals + portals)
        initiators += shared.initiators.map(\.name).filter { !names.contains($0) }
        portals += shared.portals.filter { !places.contains($0) }
        guard shared.chapFile != former.chapFile else { return }
        if chapFile == nil { formerCHAPFile = former.chapFile }
        chapFile = shared.chapFile
    }

    /// Makes the export what it was, but for what others have changed meanwhile.
    /// - Returns: what was taken out, in words.
    /// - Throws: `.refused` where nobody, or no address, would be left.
    func takeBack(from export: inout ISCSIExport, of domain: DomainName) throws(Failure) -> [String] {
        var rest = export
        rest.initiators.removeAll { initiators.contains($0.name) }
        rest.portals.removeAll { portals.contains($0) }
        if chapFile != nil, rest.chapFile == chapFile { rest.chapFile = formerCHAPFile }
        if rest.domain == domain {
            (rest.domain, rest.hasClusterFileSystem) = (formerDomain, formerlyHasClusterFileSystem)
        }
        guard !rest.initiators.isEmpty, !rest.portals.isEmpty else {
            throw Failure(
                .refused, "cannot take back what the share has added to the export of '\(volume)'",
                why: "it would have no \(rest.initiators.isEmpty ? "initiator" : "portal") left",
                remedy: "end it with 'xenlvs unexport iscsi \(volume)', then repeat the command")
        }
        var words = export.initiators.filter { !rest.initiators.contains($0) }.map { "the initiator \($0.name)" }
        words += export.portals.filter { !rest.portals.contains($0) }.map { "the portal \($0)" }
        if let file = export.chapFile, file != rest.chapFile { words.append("the CHAP file \(file)") }
        export = rest
        return words.map { "\($0) from the export of \(volume)" }
    }
}

extension ISCSIExport {
    /// Lets the domain and the hosts of a share use it; what others may do stays.
    mutating func admit(_ access: ShareAccess, of record: ShareRecord) {
        domain = record.domain
        hasClusterFileSystem = record.hasClusterFileSystem
        chapFile = access.chapFile ?? chapFile
        let (names, places) = (initiators.map(\.name), portals)
        initiators += access.initiators.filter { !names.contains($0) }.map { AllowedInitiator($0) }
        portals += access.portals.filter { !places.contains($0) }
    }
}

extension ShareRecord {
    /// Says which exports are not of the share's making: those that were there when their volumes came to it.
    /// - Parameters:
    ///   - isThere: whether there is an export of the volume now.
    ///   - earlier: the volumes that it had before this run; a new export of one of them is its own.
    mutating func noteExports(_ isThere: (VolumeName) -> Bool, earlier: [VolumeName]) {
        let before = exportedBefore
        exportedBefore = volumes.filter { isThere($0) && (before.contains($0) || !earlier.contains($0)) }
    }

    /// The same over iSCSI, where it is taken down too how those exports were.
    mutating func noteExports(_ exports: [ISCSIExport], earlier: [VolumeName]) {
        let known = Dictionary(exports.map { ($0.volume, $0) }) { first, _ in first }
        let (before, former) = (exportedBefore, additions ?? [])
        // The share gives its domain to each export: one without has been made anew by somebody else.
        noteExports({ known[$0] != nil }, earlier: earlier.filter { known[$0]?.domain != nil })
        additions = exportedBefore.compactMap { volume -> ShareAddition? in
            if let addition = former.first(where: { $0.volume == volume }) { return addition }
            // Earlier versions kept no more than that the export was there: it had no domain then.
            return before.contains(volume) ? ShareAddition(volume: volume) : known[volume].map { ShareAddition(to: $0) }
        }
    }

    /// The exports of the volumes as they are to be. What that changes in those of others is taken down.
    /// - Parameters:
    ///   - known: those that there are.
    ///   - target: the name of a new one's target.
    mutating func exports(
        from known: [ISCSIExport], _ access: ShareAccess, earlier: [VolumeName],
        target: (VolumeName) throws -> ISCSIName
    ) rethrows -> [ISCSIExport] {
        noteExports(known, earlier: earlier)
        var exports: [ISCSIExport] = []
        for volume in volumes {
            let former = known.first { $0.volume == volume }
            var export =
                if let former {
                    former
                } else {
                    ISCSIExport(volume: volume, target: try target(volume), portals: [], initiators: [])
                }
            export.admit(access, of: self)
            if let former, let index = additions?.firstIndex(where: { $0.volume == volume }) {
                additions?[index].note(export, insteadOf: former)
            }
            exports.append(export)
        }
        return exports
    }

    /// Ends the exports that the share has made, and takes back what it has added to others.
    /// - Returns: what was removed, in words.
    func takeBack(from state: inout ISCSIState) throws(Failure) -> [String] {
        var removed: [String] = []
        for volume in volumes {
            guard let index = state.exports.firstIndex(where: { $0.volume == volume }) else { continue }
            if !exportedBefore.contains(volume), state.exports[index].domain != nil {
                state.exports.remove(at: index)
                removed.append("the export of \(volume)")
            } else {
                let addition = additions?.first { $0.volume == volume } ?? ShareAddition(volume: volume)
                removed += try addition.takeBack(from: &state.exports[index], of: domain)
            }
        }
        return removed
    }
}
