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
            leftOut.append("\(target): \(error.why ?? error.what)")
        }
    }

    /// The exports as a document for `xenlvs apply`, with the CHAP files that it names, by path.
    ///
    /// - Parameters:
    ///   - volume: the name of the volume at a path; nil where it is none: its export is left out, and told.
    ///   - directory: where the CHAP files are to be.
    public func document(
        chapFilesIn directory: String, volume: (String) throws -> VolumeName?
    ) rethrows -> (state: ISCSIState, files: [String: CHAPCredentials], leftOut: [String]) {
        var (state, files, leftOut) = (ISCSIState(), [String: CHAPCredentials](), self.leftOut)
        if let discovery {
            state.discoveryCHAPFile = "\(directory)/discovery.chap"
            files["\(directory)/discovery.chap"] = discovery
        }
        for item in exports {
            guard let name = try volume(item.devicePath) else {
                leftOut.append("\(item.target): \(item.devicePath) is no volume; make it one with 'xenlvs link set'")
                continue
            }
            var export = ISCSIExport(
                volume: name, target: item.target, lun: item.lun, portals: item.portals, initiators: item.initiators,
                headerDigest: item.headerDigest, dataDigest: item.dataDigest, isReadOnly: item.isReadOnly,
                isThin: item.isThin)
            let shared = Set(item.initiators.map { item.credentials[$0.name]?.initiator.user }).count == 1
            for (index, initiator) in item.initiators.enumerated() {
                guard let credentials = item.credentials[initiator.name] else { continue }
                let path = "\(directory)/\(name)\(shared ? "" : "-\(index + 1)").chap"
                files[path] = credentials
                if shared { export.chapFile = path } else { export.initiators[index].chapFile = path }
            }
            state.exports.append(export)
        }
        return (state, files, leftOut)
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
