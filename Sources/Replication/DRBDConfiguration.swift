import HostModel

/// A replica as a resource file for `drbdadm`. xenlvs itself runs `drbdsetup` and needs no such file; it is for people
/// who look at a replica with DRBD's own tools, and for the tests that compare our commands with `drbdadm`'s.
public enum DRBDConfiguration {
    /// - Parameters:
    ///   - device: on the host of `connection.local`.
    ///   - peerDevice: the same volume's on the host of `connection.peer`.
    public static func render(
        _ dialect: DRBDDialect, device: ReplicaDevice, peerDevice: ReplicaDevice, connection: ReplicaConnection,
        tuning: ResyncTuning
    ) -> String {
        let disk = [
            DRBDOption("size", "\(device.size.sectors)s"),
            DRBDOption("on-io-error", "detach"),
        ]
        var lines = ["global { usage-count no; }", "resource \"\(device.resource)\" {"]
        if dialect == .v9 { lines += ["  options { auto-promote no; quorum off; }"] }
        lines += section("net", connection.options) + section("disk", disk + tuning.options)
        lines += host(dialect, connection.local, device) + host(dialect, connection.peer, peerDevice)
        if dialect == .v9 {
            lines += ["  connection-mesh { hosts \"\(connection.local.host)\" \"\(connection.peer.host)\"; }"]
        }
        return (lines + ["}", ""]).joined(separator: "\n")
    }

    private static func section(_ name: String, _ options: [DRBDOption]) -> [String] {
        ["  \(name) {"] + options.map { "    \($0.configuration)" } + ["  }"]
    }

    private static func host(_ dialect: DRBDDialect, _ node: ReplicaNode, _ device: ReplicaDevice) -> [String] {
        var lines = ["  on \"\(node.host)\" {"]
        if dialect == .v9 { lines += ["    node-id \(node.nodeID);"] }
        return lines + [
            "    address \(node.address.configuration);",
            "    volume \(ReplicaDevice.volumeNumber) {",
            "      device minor \(device.minor);",
            "      disk \"\(device.lowerPath)\";",
            "      meta-disk \"\(device.metadataPath)\";",
            "    }",
            "  }",
        ]
    }
}
