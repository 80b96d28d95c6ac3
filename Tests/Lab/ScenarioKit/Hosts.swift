import Foundation
import LabKit

/// The pair of hosts that all scenarios share, with the product on both; and a third one where the lab has it.
package struct Hosts: Sendable {
    package let a: LabNode
    package let b: LabNode
    package let c: LabNode?
    /// Notices a guest that runs on both.
    package let watch = DomainWatch()

    package var all: [LabNode] { [a, b] + (c.map { [$0] } ?? []) }
    package func peer(of node: LabNode) -> LabNode { node.name == a.name ? b : a }

    /// Whether this run's lab has three nodes.
    package static let haveThird = ProcessInfo.processInfo.environment["XENLVS_LAB_NODES"] == "abc"

    /// Where both hosts have a directory for volumes as files.
    package static let pool = "/srv/xenlvs-pool"

    /// The hosts, switched on, connected and holding nothing. The first call of a run starts the lab, unless it is
    /// running, and puts the product on its nodes.
    package static func clean() async throws -> Hosts {
        let hosts = try await Preparation.shared.hosts()
        try await hosts.reset()
        return hosts
    }

    /// Makes a volume with the product's own command, with an empty file system.
    ///
    /// - Parameters:
    ///   - directory: makes a file in this directory instead of an LV.
    ///   - isStamped: leaves 8 MiB behind the file system for stamped blocks.
    ///   - hasSwitch: with a switch between link and LV.
    package func makeVolume(
        _ name: String, megabytes: Int = 32, directory: String? = nil, isStamped: Bool = true, hasSwitch: Bool = false,
        on node: LabNode
    ) async throws {
        let place =
            (directory.map { " --directory \($0)" } ?? "") + (hasSwitch ? "" : directory == nil ? " --no-switch" : "")
        let stamps = isStamped ? " \(megabytes - 8)M; /lab/stamps prepare /dev/xenlvs/\(name)" : ""
        try await node.run(
            """
            set -e; xenlvs volume create \(name) --size \(megabytes)M\(place)
            mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/xenlvs/\(name)\(stamps)
            """, timeout: .seconds(120))
    }

    /// Makes a guest's volumes, starts it and lets it count a little.
    package func start(
        _ guest: LabGuest, megabytes: Int = 32, directory: String? = nil, isStamped: Bool = true,
        hasSwitch: Bool = false, on node: LabNode
    ) async throws -> Journey {
        for volume in guest.volumes {
            try await makeVolume(
                volume, megabytes: megabytes, directory: directory, isStamped: isStamped, hasSwitch: hasSwitch, on: node
            )
        }
        try await node.create(guest)
        try await node.waitForTicks(of: guest, beyond: 5)
        return Journey(of: guest, from: node, isStamped: isStamped)
    }
}

extension LabGuest {
    /// The names of its disks' links.
    package var volumes: [String] { disks.map { String($0.path.dropFirst("/dev/xenlvs/".count)) } }
}

/// Makes the hosts ready once per run.
private actor Preparation {
    package static let shared = Preparation()
    private var task: Task<Hosts, any Error>?

    package func hosts() async throws -> Hosts {
        let task = task ?? Task { try await Self.prepare() }
        self.task = task
        return try await task.value
    }

    private static func prepare() async throws -> Hosts {
        let lab = try await Lab.up(nodes: Hosts.haveThird ? ["a", "b", "c"] : ["a", "b"])
        let hosts = Hosts(a: try lab.node("a"), b: try lab.node("b"), c: Hosts.haveThird ? try lab.node("c") : nil)
        let binary = try ProductUnderTest.binary
        try await withThrowingTaskGroup { group in
            for node in hosts.all { group.addTask { try await node.push(binary, to: ProductUnderTest.path) } }
            try await group.waitForAll()
        }
        return hosts
    }
}
