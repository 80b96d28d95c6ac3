import HostModel

/// An export that another program has set up.
public struct ImportedExport: Sendable, Equatable {
    public var target: ISCSIName
    /// Nil for 0, which xenlvs gives to nobody.
    public var lun: Int?
    public var devicePath: String
    /// By which initiators know the disk so far.
    public var serial: String
    public var portals: [Portal]
    public var initiators: [AllowedInitiator]
    public var credentials: [ISCSIName: CHAPCredentials]
    public var headerDigest: Digest
    public var dataDigest: Digest
    public var isReadOnly: Bool
    public var isThin: Bool
}

/// What was read of another program's configuration: exports, and in words what cannot be taken over.
public struct ImportedState: Sendable, Equatable {
    public var exports: [ImportedExport] = []
    public var discovery: CHAPCredentials?
    public var leftOut: [String] = []

    mutating func take(_ target: String, _ read: () throws(Failure) -> ImportedExport) {
        do throws(Failure) { exports.append(try read()) } catch {
            // What is wrong with a name or a secret says nothing without that.
            let words = [error.what, error.why].compactMap(\.self).joined(separator: ": ")
            leftOut.append("\(target): \(error.code == .refused ? error.why ?? words : words)")
        }
    }

    /// The exports as a document for `xenlvs apply`, with the CHAP files that it names, by path. What would be refused there is
    /// left out, and told.
    ///
    /// - Parameters:
    ///   - directory: where the CHAP files are to be.
    ///   - addresses: those of this host that stand for a portal on every address; the port stays.
    ///   - volume: the name of the volume at a path; nil where it is none: its export is left out, and told.
    public func document(
        chapFilesIn directory: String, for addresses: [Portal] = [], volume: (String) throws -> VolumeName?
    ) rethrows -> (state: ISCSIState, files: [String: CHAPCredentials], leftOut: [String]) {
        var (draft, leftOut) = (DocumentDraft(directory: directory), self.leftOut)
        if let discovery { draft.state.discoveryCHAPFile = draft.file("discovery", discovery) }
        for item in exports {
            guard let name = try volume(item.devicePath) else {
                leftOut.append("\(item.target): \(item.devicePath) is no volume; make it one with 'xenlvs link set'")
                continue
            }
            do throws(Failure) { try draft.add(item, of: name, on: item.places(for: addresses)) } catch {
                leftOut.append("\(item.target): \(error.why ?? error.what)")
            }
        }
        return (draft.state, draft.files, leftOut)
    }
}

extension ImportedExport {
    /// Its portals, with single addresses in the place of every address where there are such. `0.0.0.0` is every one of IPv4.
    fileprivate func places(for addresses: [Portal]) -> [Portal] {
        var result: [Portal] = []
        for portal in portals {
            let single = addresses.filter { portal.isWildcard && (portal.isIPv6 || !$0.isIPv6) }
                .compactMap { try? Portal(($0.isIPv6 ? "[\($0.address)]" : $0.address) + ":\(portal.port)") }
            for place in single.isEmpty ? [portal] : single where !result.contains(place) { result.append(place) }
        }
        return result
    }
}

/// A document that is put together of what was read.
private struct DocumentDraft {
    let directory: String
    var state = ISCSIState()
    var files: [String: CHAPCredentials] = [:]

    init(directory: String) { self.directory = directory }

    /// Puts credentials into a file that nothing else has: a volume may be called `discovery`, or `web1-2`.
    mutating func file(_ name: String, _ credentials: CHAPCredentials) -> String {
        var (path, number) = ("\(directory)/\(name).chap", 2)
        while files[path] != nil {
            path = "\(directory)/\(name)-\(number).chap"
            number += 1
        }
        files[path] = credentials
        return path
    }

    /// - Throws: why the export cannot be among the others. Nothing is changed then.
    mutating func add(_ item: ImportedExport, of volume: VolumeName, on portals: [Portal]) throws(Failure) {
        var export = ISCSIExport(
            volume: volume, target: item.target, lun: item.lun, portals: portals, initiators: item.initiators,
            headerDigest: item.headerDigest, dataDigest: item.dataDigest, isReadOnly: item.isReadOnly,
            isThin: item.isThin)
        try check(export)
        let former = files
        let first = item.initiators.first.flatMap { item.credentials[$0.name] }
        if item.initiators.allSatisfy({ item.credentials[$0.name] == first }) {
            if let first { export.chapFile = file(volume.text, first) }
        } else {
            for (index, initiator) in item.initiators.enumerated() {
                guard let credentials = item.credentials[initiator.name] else { continue }
                export.initiators[index].chapFile = file("\(volume)-\(index + 1)", credentials)
            }
        }
        do throws(Failure) { try export.validate() } catch {
            files = former
            throw error
        }
        state.exports.append(export)
    }

    private func check(_ export: ISCSIExport) throws(Failure) {
        let why: String? =
            if let portal = export.portals.first(where: \.isWildcard) {
                "\(portal) stands for every address; name those of this host with --portal"
            } else if state.exports.contains(where: { $0.volume == export.volume }) {
                "another target has the volume '\(export.volume)' too"
            } else if state.exports.contains(where: { $0.target == export.target }) {
                "there is another target of that name"
            } else {
                nil
            }
        if let why { throw Failure(.usage, "cannot take over \(export.target)", why: why) }
    }
}

extension CHAPCredentials {
    /// What stands in a CHAP file for them.
    public var fileText: String {
        let lines =
            [("user", initiator.user), ("secret", initiator.secret.text)]
            + (target.map { [("mutual_user", $0.user), ("mutual_secret", $0.secret.text)] } ?? [])
        return lines.map { "\($0.0) = \($0.1)\n" }.joined()
    }
}
