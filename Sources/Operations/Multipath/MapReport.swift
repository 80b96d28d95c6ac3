import FoundationEssentials
import HostModel
import Hosts

/// What whoever checks paths knows of them, for those who list them. Gone after a restart of the host.
struct MapReport: Codable, Equatable {
    struct Path: Codable, Equatable {
        /// `sdb`.
        var disk: String
        /// Why it is down; nil where it is up.
        var why: String?
    }

    var name: VolumeName
    var paths: [Path]
    /// Why the map as such is not as it has to be; nil where it is.
    var why: String?

    static func path(_ paths: Paths) -> String { paths.run + "/multipath.json" }

    /// What was last written; nothing where it cannot be read.
    static func all(_ paths: Paths) -> [MapReport] {
        guard let text = KernelFile.read(path(paths)) else { return [] }
        return (try? JSONText.decode([MapReport].self, from: text, what: path(paths))) ?? []
    }
}
