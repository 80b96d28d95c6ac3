import DeviceMapper
import HostModel
import Migration
import Storage

/// Where a volume's link has to lead, from the journal alone. Pure.
enum LinkDuty: Sendable, Equatable {
    /// To the volume itself.
    case volume
    /// To the volume, or to its replica with this DRBD minor: a migration is under way.
    case volumeOrReplica(OpenMigration, minor: Int)
    /// Wherever the migration that fills the volume has put it.
    case migration(OpenMigration)
    /// Nowhere, or still to the replica with this DRBD minor until the migration removes the link: the domain belongs to
    /// the target. Never to the old copy again.
    case handedOver(OpenMigration, minor: Int)
    /// There must be none, for this reason.
    case none(String)

    /// - Parameter migrations: the open ones of this host that name the volume.
    init(_ volume: Volume, _ migrations: [OpenMigration]) {
        switch volume.state {
        case .retired(let id): self = .none("it is the old copy that migration \(id) left behind")
        case .former(let name): self = .none("it is what '\(name)' was on before a swap")
        case .restoring(let checkpoint): self = .none("it is being put back to the checkpoint \(checkpoint)")
        case .incoming(let id):
            self =
                migrations.first { $0.id.text == id }.map(LinkDuty.migration)
                ?? .none("it is a copy that migration \(id) began to fill and did not finish")
        case .active: self = Self.ofActive(volume.name, migrations)
        }
    }

    private static func ofActive(_ name: VolumeName, _ migrations: [OpenMigration]) -> LinkDuty {
        for migration in migrations {
            guard let volume = migration.volume(name) else { continue }
            switch (migration.role, migration.isDecided) {
            case (.source, true):
                // The other host has the newer copy: a guest that started here would run a second time, on old data.
                return .handedOver(migration, minor: volume.sourceMinor)
            case (.source, false): return .volumeOrReplica(migration, minor: volume.sourceMinor)
            case (.target, true): return .volumeOrReplica(migration, minor: volume.targetMinor)
            case (.target, false): continue
            }
        }
        return .volume
    }
}

/// How a volume's link stands.
public enum LinkVerdict: String, Sendable, Codable, CaseIterable {
    case right
    /// It leads to the replica of a migration that is under way.
    case onReplica = "on-replica"
    /// A migration has set it, and takes care of it.
    case migration
    /// There is none, and there must be none.
    case rightlyAbsent = "rightly-absent"
    case missing
    /// It leads nowhere.
    case dangling
    /// It leads to something else than what is recorded.
    case replacedByHand = "replaced-by-hand"
    case notALink = "not-a-link"
    /// There is a link, and no volume of that name.
    case notRecorded = "not-recorded"
    /// There is one, and there must be none.
    case mustNotBe = "must-not-be"

    /// Whether all is well.
    public var isFine: Bool {
        switch self {
        case .right, .onReplica, .migration, .rightlyAbsent: true
        case .missing, .dangling, .replacedByHand, .notALink, .notRecorded, .mustNotBe: false
        }
    }

    /// Judges what stands in the link's place.
    /// - Parameter plain: the volume's own device; nil where it has none now.
    init(_ state: LinkState, _ duty: LinkDuty, plain: BlockDeviceNumber?) {
        switch (duty, state) {
        case (_, .notALink): self = .notALink
        case (.migration, _): self = .migration
        case (.none, .absent), (.handedOver, .absent): self = .rightlyAbsent
        case (.none, .link): self = .mustNotBe
        case (.handedOver(let migration, let minor), .link(let target, _)):
            self = migration.mayStillLink(to: target, minor: minor) ? .migration : .mustNotBe
        case (.volume, .absent), (.volumeOrReplica, .absent): self = .missing
        case (.volume, .link(_, .dangling)), (.volumeOrReplica, .link(_, .dangling)): self = .dangling
        case (.volume, .link(_, .device(_, let number))): self = number == plain ? .right : .replacedByHand
        case (.volumeOrReplica(_, let minor), .link(let target, .device(_, let number))):
            self = number == plain ? .right : target == "/dev/drbd\(minor)" ? .onReplica : .replacedByHand
        case (.volume, .link(_, .notABlockDevice)), (.volumeOrReplica, .link(_, .notABlockDevice)):
            self = .replacedByHand
        }
    }
}

extension OpenMigration {
    /// Whether a source that has handed over may still have this link until it is tidied up: to the replica, which nobody can
    /// write any more, or to the switch, which is closed.
    fileprivate func mayStillLink(to target: String, minor: Int) -> Bool {
        guard usesSwitches else { return target == "/dev/drbd\(minor)" }
        return volumes.contains { $0.sourceMinor == minor && target == MappedIdentity.switchPath(of: $0.name) }
    }
}
