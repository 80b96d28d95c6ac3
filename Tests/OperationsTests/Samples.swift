import Domains
import HostModel
import Migration
import Storage

@testable import Operations

/// What `body` throws; nil where it throws nothing, or no failure of ours.
func failure(_ body: () async throws -> Void) async -> Failure? {
    do { try await body() } catch { return error as? Failure }
    return nil
}

/// Values that the tests of this target share.
enum Sample {
    static func volume(_ name: String, _ state: VolumeState = .active) throws -> Volume {
        Volume(
            name: try VolumeName(name), place: try lvPlace(name), size: .mebibytes(64), logicalVolumeUUID: "abc",
            state: state)
    }

    static func lvPlace(_ name: String, in group: String = "vg0") throws -> VolumePlace {
        .logicalVolume(group: try VolumeGroupName(group), name: try LogicalVolumeName(name))
    }

    static func specification(_ name: String, source: VolumePlace? = nil, target: VolumePlace? = nil) throws
        -> VolumeSpec
    {
        VolumeSpec(
            name: try VolumeName(name), device: "xvda", size: .mebibytes(64), sourcePlace: try source ?? lvPlace(name),
            targetPlace: try target ?? lvPlace(name), sourceMinor: 3, targetMinor: 7, port: 7800)
    }

    /// A checkpoint of a domain on one volume, with the snapshot `NAME.cp1`.
    static func checkpoint(of name: String) throws -> Checkpoint {
        Checkpoint(
            name: try VolumeName("\(name)-1"), domain: try DomainName(name),
            uuid: "00000000-0000-4000-8000-000000000001", memory: .mebibytes(96), stage: .whole, created: 1,
            disks: [
                Checkpoint.Disk(
                    device: "xvda", volume: try VolumeName(name), logicalVolumeUUID: "abc", size: .mebibytes(64),
                    snapshot: LogicalVolumeReference(
                        group: try VolumeGroupName("vg0"), name: try LogicalVolumeName("\(name).cp1")))
            ])
    }

    static func migration(_ role: Role, decided: Bool, id: String = "web1-20261121-0001") throws -> OpenMigration {
        OpenMigration(
            id: try MigrationID(id), domain: try DomainName("web1"), role: role, isDecided: decided,
            target: try HostName("nodeb"), volumes: [try specification("web1")])
    }

    static let lower = BlockDeviceNumber(major: 253, minor: 0)

    /// A link that leads to a device.
    static func link(_ target: String, _ major: UInt32 = 253, _ minor: UInt32 = 0) -> LinkState {
        .link(target: target, leadsTo: .device(node: "/dev/x", BlockDeviceNumber(major: major, minor: minor)))
    }
}
