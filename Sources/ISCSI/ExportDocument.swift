import HostModel
import Yams

/// Reads what a host is to serve over iSCSI from a YAML document. An unknown or repeated key is an error, with its line.
public enum ExportDocument {
    /// - Parameters:
    ///   - path: for messages.
    ///   - target: the name of a volume's target where none is given.
    /// - Throws: `.usage` with path and line.
    public static func parse(
        _ text: String, path: String, target: (VolumeName) throws(Failure) -> ISCSIName
    ) throws(Failure) -> ISCSIState {
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch {
            throw Failure(.usage, "cannot read \(path)", why: "it is not YAML: \(error)")
        }
        guard let root else { throw Failure(.usage, "cannot read \(path)", why: "it is empty") }
        let document = try Entry(root, path, "the document").entries(["iscsi"])
        guard let body = document["iscsi"] else {
            throw Failure(.usage, "cannot read \(path)", why: "the key 'iscsi' is missing")
        }
        let entries = try body.entries(["discovery_chap", "exports"])
        var state = ISCSIState(discoveryCHAPFile: try entries["discovery_chap"]?.text())
        for item in try entries["exports"]?.items() ?? [] { state.exports.append(try export(item, target)) }
        try state.validate()
        return state
    }

    private static let exportKeys = [
        "volume", "target", "lun", "portals", "initiators", "chap", "header_digest", "data_digest", "read_only", "thin",
        "domain", "cluster_file_system",
    ]

    private static func export(
        _ item: Entry, _ target: (VolumeName) throws(Failure) -> ISCSIName
    ) throws(Failure) -> ISCSIExport {
        let entries = try item.entries(exportKeys)
        guard let subject = entries["volume"] else { throw item.wrong("the key 'volume' is missing") }
        let volume = try subject.value { text throws(Failure) in try VolumeName(text) }
        let target =
            if let name = entries["target"] {
                try name.value { text throws(Failure) in try ISCSIName(text) }
            } else {
                try standardTarget(volume, item, target)
            }
        let export = ISCSIExport(
            volume: volume, target: target,
            lun: try entries["lun"]?.number(),
            portals: try (entries["portals"]?.items() ?? []).map { entry throws(Failure) in
                try entry.value { text throws(Failure) in try Portal(text) }
            },
            initiators: try (entries["initiators"]?.items() ?? []).map { entry throws(Failure) in
                try initiator(entry)
            },
            chapFile: try entries["chap"]?.text(), headerDigest: try digest(entries["header_digest"]),
            dataDigest: try digest(entries["data_digest"]), isReadOnly: try entries["read_only"]?.flag() ?? false,
            isThin: try entries["thin"]?.flag() ?? false,
            domain: try entries["domain"]?.value { text throws(Failure) in try DomainName(text) },
            hasClusterFileSystem: try entries["cluster_file_system"]?.flag() == true ? true : nil)
        do throws(Failure) { try export.validate() } catch { throw item.wrong(error.description) }
        return export
    }

    private static func standardTarget(
        _ volume: VolumeName, _ item: Entry, _ target: (VolumeName) throws(Failure) -> ISCSIName
    ) throws(Failure) -> ISCSIName {
        do throws(Failure) { return try target(volume) } catch { throw item.wrong(error.description) }
    }

    /// A name alone, or a mapping.
    private static func initiator(_ item: Entry) throws(Failure) -> AllowedInitiator {
        if item.isScalar {
            return AllowedInitiator(try item.value { text throws(Failure) in try ISCSIName(text) })
        }
        let entries = try item.entries(["name", "chap", "read_only"])
        guard let name = entries["name"] else { throw item.wrong("the key 'name' is missing") }
        return AllowedInitiator(
            try name.value { text throws(Failure) in try ISCSIName(text) }, chapFile: try entries["chap"]?.text(),
            isReadOnly: try entries["read_only"]?.flag() ?? false)
    }

    private static func digest(_ entry: Entry?) throws(Failure) -> Digest {
        guard let entry else { return .either }
        guard let digest = Digest(rawValue: try entry.text()) else {
            throw entry.wrong("it must be \(Digest.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return digest
    }
}

/// A node of the document, with its place for messages.
private struct Entry {
    private let node: Node
    private let path: String
    private let subject: String

    init(_ node: Node, _ path: String, _ subject: String) {
        self.node = node
        self.path = path
        self.subject = subject
    }

    var isScalar: Bool { node.scalar != nil }

    func wrong(_ why: String) -> Failure {
        let place = node.mark.map { "\(path), line \($0.line)" } ?? path
        return Failure(.usage, "\(place): \(subject) cannot be used", why: why)
    }

    /// The values of a mapping that has none but `keys`.
    func entries(_ keys: [String]) throws(Failure) -> [String: Entry] {
        guard let mapping = node.mapping else { throw wrong("it must be 'key: value' lines") }
        var entries: [String: Entry] = [:]
        for (key, value) in mapping {
            guard let name = key.string, keys.contains(name) else {
                throw Entry(key, path, "the key '\((key.string ?? "?").prefix(100))'").wrong(
                    "it is unknown; the keys here are \(keys.joined(separator: ", "))")
            }
            guard entries.updateValue(Entry(value, path, "'\(name)'"), forKey: name) == nil else {
                throw Entry(key, path, "the key '\(name)'").wrong("it is there twice")
            }
        }
        return entries
    }

    func items() throws(Failure) -> [Entry] {
        guard let sequence = node.sequence else { throw wrong("it must be a list") }
        return sequence.map { Entry($0, path, "the entry of \(subject)") }
    }

    func text() throws(Failure) -> String {
        guard let text = node.scalar?.string, !text.isEmpty else { throw wrong("it must be text") }
        return text
    }

    func number() throws(Failure) -> Int {
        guard let number = Int(try text()) else { throw wrong("it must be a number") }
        return number
    }

    func flag() throws(Failure) -> Bool {
        switch try text() {
        case "true": return true
        case "false": return false
        default: throw wrong("it must be true or false")
        }
    }

    /// What `make` makes of the text; its failure with the place.
    func value<Value>(_ make: (String) throws(Failure) -> Value) throws(Failure) -> Value {
        let text = try text()
        do throws(Failure) { return try make(text) } catch { throw wrong(error.description) }
    }
}
