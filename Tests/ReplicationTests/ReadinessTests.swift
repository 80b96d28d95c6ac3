import HostModel
import Replication
import Testing

struct ReadinessTests {
    private static let synced = ("synced-source", "synced-target")

    @Test("Copies that are UpToDate on both hosts may be handed over while the source is still Primary")
    func ready() throws {
        _ = try HandoverReadiness([Sample.pair("synced-source", "synced-target")])
        _ = try HandoverReadiness([Sample.pair("both-secondary-source", "both-secondary-target")])
    }

    @Test("The target may be promoted only when the source is Secondary")
    func promotion() throws {
        let readiness = try HandoverReadiness([Sample.pair("synced-source", "synced-target")])
        #expect(throws: Failure.self) { try PromotionPermit(readiness) }
        _ = try PromotionPermit([Sample.pair("both-secondary-source", "both-secondary-target")])
    }

    @Test("A permit is good for the replicas it was made for and for no other")
    func permitScope() throws {
        let permit = try PromotionPermit([Sample.pair("both-secondary-source", "both-secondary-target")])
        var other = Sample.target
        other.volume = try VolumeName("rep-2")
        let commands = DRBDCommands(dialect: .v84)
        #expect(throws: Failure.self) { try commands.primary(other, permit) }
        #expect(try commands.primary(Sample.target, permit).description == "drbdsetup primary 901")
    }

    @Test(
        "No other recorded state of the two copies is ready",
        arguments: [
            ("fresh-source", "fresh-target"), ("forced-source", "fresh-target"),
            ("forced-source", "connecting-target"), ("syncing-source", "syncing-target"),
            ("verifying-source", "verifying-target"), ("promoted-source", "promoted-target"),
            ("missing", "synced-target"), ("synced-source", "missing"), ("synced-source", "syncing-target"),
            ("syncing-source", "synced-target"), ("synced-source", "peer-down-target"),
            ("synced-source", "disconnected-target"), ("synced-source", "both-secondary-target"),
        ])
    func notReady(source: String, target: String) throws {
        let pair = try Sample.pair(source == "missing" ? nil : source, target == "missing" ? nil : target)
        let failure = #expect(throws: Failure.self) { try HandoverReadiness([pair]) }
        #expect(failure?.code == .refused)
        #expect(failure?.why?.contains("rep-1: ") == true)
    }

    @Test("One volume that is not ready keeps all of them back")
    func allOrNothing() throws {
        let good = try Sample.pair("synced-source", "synced-target")
        let bad = try Sample.pair("syncing-source", "syncing-target")
        #expect(throws: Failure.self) { try HandoverReadiness([good, bad]) }
        #expect(throws: Failure.self) { try HandoverReadiness([]) }
    }

    @Test("The reasons are given in words")
    func words() throws {
        let pair = try Sample.pair("syncing-source", "syncing-target")
        #expect(
            HandoverReadiness.objections(to: [pair]) == [
                "rep-1: the source is SyncSource, not Established, the source sees the target's copy as Inconsistent, "
                    + "63.6 MiB out of sync",
                "rep-1: the target's copy is Inconsistent, the target is SyncTarget, not Established, "
                    + "63.2 MiB out of sync",
            ])
    }

    /// Every way in which one field of a good pair can be bad.
    private static let spoilings: [(String, @Sendable (inout ReplicaStatus) -> Void)] = [
        ("disk", { $0.volumes[0].disk = .outdated }),
        ("disk of a new kind", { $0.volumes[0].disk = .other("Perfect") }),
        ("size", { $0.volumes[0].size = .mebibytes(32) }),
        ("unknown size", { $0.volumes[0].size = nil }),
        ("suspension", { $0.suspended = "no-data" }),
        ("quorum", { $0.volumes[0].hasQuorum = false }),
        ("connection", { $0.connections[0].state = .networkFailure }),
        ("replication", { $0.connections[0].peers[0].replication = .pausedSyncSource }),
        ("peer's disk", { $0.connections[0].peers[0].disk = .consistent }),
        ("peer's role", { $0.connections[0].peerRole = .unknown }),
        ("a few blocks", { $0.connections[0].peers[0].outOfSync = .kibibytes(4) }),
        ("unknown blocks", { $0.connections[0].peers[0].outOfSync = nil }),
        ("a second device", { $0.volumes.append($0.volumes[0]) }),
        ("no connection", { $0.connections = [] }),
        ("a second connection", { $0.connections.append($0.connections[0]) }),
        ("another resource", { $0.resource = "xenlvs-rep-2" }),
    ]

    @Test("Each single fault on either side is enough to refuse", arguments: spoilings.map(\.0))
    func singleFaults(name: String) throws {
        let spoil = try #require(Self.spoilings.first { $0.0 == name }?.1)
        for side in [\ReplicaPair.source, \.target] {
            var pair = try Sample.pair("both-secondary-source", "both-secondary-target")
            #expect(HandoverReadiness.objections(to: [pair]).isEmpty)
            var status = try #require(pair[keyPath: side])
            spoil(&status)
            pair[keyPath: side] = status
            #expect(!HandoverReadiness.objections(to: [pair]).isEmpty, "\(name)")
        }
    }

    @Test("A volume whose size differs from what it should be is not handed over")
    func size() throws {
        let pair = try Sample.pair("synced-source", "synced-target", size: .mebibytes(128))
        #expect(
            HandoverReadiness.objections(to: [pair]).first
                == "rep-1: the source's copy has 64 MiB, not 128 MiB")
    }
}
