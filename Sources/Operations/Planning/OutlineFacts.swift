import Domains
import HostModel
import Migration
import Replication
import Storage

/// What is known of one host before a migration begins, as far as its commands depend on it.
struct OutlineHost: Sendable {
    var name: HostName
    /// Where its saved images are kept.
    var images: String
    /// The part of an image's name that tells the host's boot.
    var boot: String
    /// Nil where DRBD is not loaded yet.
    var dialect: DRBDDialect?
    var groups: [GroupFacts]
    /// What the domain could be started from; nil where there is nothing.
    var configuration: String?
    /// The loop devices of volumes that are files.
    var loops: [VolumeName: String] = [:]
    /// The devices that go with the switches of volumes that have one.
    var switches: [VolumeName: SwitchDevices] = [:]

    struct SwitchDevices: Sendable {
        /// What the link leads to.
        var path: String
        /// What DRBD is attached to.
        var lower: String
    }
}

/// Everything that an outline is made from.
struct OutlineFacts: Sendable {
    var spec: MigrationSpec
    /// The domain's number as it is now; after each restore it has a new one.
    var domain: DomainID
    /// The boot of the host that makes the outline.
    var boot: String
    var source: OutlineHost
    var target: OutlineHost
    /// Volumes whose earlier copy on the target is used again.
    var reused: Set<VolumeName>
    var methodReason: String
    var freezes: [FreezeForecast] = []

    func host(_ role: Role) -> OutlineHost { role == .source ? source : target }

    /// A saved image on one of the hosts. `SavedImages` puts the boot of the host it runs on into the name.
    func image(_ purpose: SavedImages.Purpose, _ role: Role) -> String {
        SavedImages(directory: host(role).images).path(spec.id, purpose)
            .replacing(".\(boot).image", with: ".\(host(role).boot).image")
    }
}

/// Words that stand for what only the run will know. Each can be part of a command line without quotes.
enum OutlineWord {
    static let identifier = "XXXX"
    static let domain = "DOMID"
    static let mark = "MARK"
    static let uuid = "UUID"
    static let transport = "TRANSPORT"

    static func loop(_ volume: VolumeName, _ role: FilePool.Role) -> String { "/dev/LOOP-\(volume)\(role.rawValue)" }

    static let meanings: [(word: String, meaning: String)] = [
        (identifier, "the end of the migration's identifier: four random digits"),
        (domain, "the domain's number, a new one after each restore"),
        (mark, "a number that marks DRBD metadata as this migration's, made from its identifier"),
        (transport, "a line that hands the stream of 'xl migrate' to xenlvs"),
        (uuid, "LVM's identity of the LV, which is asked for then"),
        ("/dev/LOOP-", "the loop device that a file gets"),
    ]
}
