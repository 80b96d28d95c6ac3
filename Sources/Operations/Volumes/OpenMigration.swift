import HostModel
import Hosts
import Migration

/// A migration in this host's journal that is not finished, as far as its volumes are concerned.
struct OpenMigration: Sendable, Equatable {
    var id: MigrationID
    var domain: DomainName
    var role: Role
    /// The domain belongs to the target.
    var isDecided: Bool
    var target: HostName
    var volumes: [VolumeSpec]
    /// Links lead to switches all the time, and these elsewhere.
    var usesSwitches = false

    init(
        id: MigrationID, domain: DomainName, role: Role, isDecided: Bool, target: HostName, volumes: [VolumeSpec],
        usesSwitches: Bool = false
    ) {
        self.id = id
        self.domain = domain
        self.role = role
        self.isDecided = isDecided
        self.target = target
        self.volumes = volumes
        self.usesSwitches = usesSwitches
    }

    init(_ record: MigrationRecord) throws {
        let spec = try JSONText.decode(MigrationSpec.self, from: record.spec, what: "migration \(record.id)")
        self.init(
            id: spec.id, domain: spec.domain, role: record.role == .source ? .source : .target,
            isDecided: record.decided, target: spec.target.name, volumes: spec.volumes,
            usesSwitches: spec.plan.usesSwitches)
    }

    /// Every open migration of this host. Throws what makes the journal unreadable.
    static func all(in database: StateDatabase) throws -> [OpenMigration] {
        try database.migrations(openOnly: true).map(OpenMigration.init)
    }

    /// Throws `.busy` where one of `migrations` is about the volume: `what` cannot be done then.
    static func requireNone(of name: VolumeName, among migrations: [OpenMigration], doing what: String) throws {
        guard let migration = migrations.first(where: { $0.volume(name) != nil }) else { return }
        let use = VolumeUse(.migration, migration.id.text)
        throw Failure(.busy, what, why: use.sentence, remedy: use.remedy)
    }

    /// The part of the migration that is about `name`; nil where it is about other volumes.
    func volume(_ name: VolumeName) -> VolumeSpec? { volumes.first { $0.name == name } }
}
