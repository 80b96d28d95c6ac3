import Foundation
import HostModel
import Replication

/// Recorded outputs. `8.4.11` in a name: of Linux 6.1.192's DRBD with drbd-utils 9.22.0, two hosts or one with both
/// ends over loopback (web1, web2). `9-from-format`: written by hand after drbd-utils' source; no DRBD 9 was run.
func fixture(_ name: String) throws -> String {
    let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
    return try String(contentsOf: directory.appending(path: name + ".txt"), encoding: .utf8)
}

/// The status of the one resource in a recorded output.
func status(_ name: String) throws -> ReplicaStatus {
    let statuses = try ReplicaStatus.parse(events2: fixture("events2-" + name))
    guard let status = statuses.first, statuses.count == 1 else { throw Failure(.usage, "\(name) is not one resource") }
    return status
}

enum Sample {
    static let volume = try! VolumeName("rep-1")
    static let size = ByteCount.mebibytes(64)
    static let secretText = "0123456789abcdef0123456789abcdef"
    static let source = device(minor: 900)
    static let target = device(minor: 901)
    static let tuning = ResyncTuning(bandwidth: nil)
    static let connection = try! connection(source: "192.0.2.1", target: "192.0.2.2")

    static func device(minor: Int) -> ReplicaDevice {
        ReplicaDevice(
            volume: volume, minor: minor, size: size, lowerPath: "/dev/vg0/rep-1", metadataPath: "/dev/vg0/rep-1.drbdmd"
        )
    }

    /// Seen from the source.
    static func connection(source: String, target: String, checksums: Bool = false) throws -> ReplicaConnection {
        ReplicaConnection(
            local: ReplicaNode(
                host: try HostName("nodea"), nodeID: 0, address: try ReplicaAddress(host: source, port: 7990)),
            peer: ReplicaNode(
                host: try HostName("nodeb"), nodeID: 1, address: try ReplicaAddress(host: target, port: 7990)),
            secret: try SharedSecret(secretText), comparesChecksums: checksums)
    }

    /// A pair from two recorded outputs.
    static func pair(_ source: String?, _ target: String?, size: ByteCount = size) throws -> ReplicaPair {
        ReplicaPair(
            volume: volume, size: size, source: try source.map { try status("8.4.11-" + $0) },
            target: try target.map { try status("8.4.11-" + $0) })
    }
}
