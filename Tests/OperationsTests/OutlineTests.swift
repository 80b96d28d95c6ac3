import Domains
import FoundationEssentials
import HostModel
import Migration
import Replication
import Storage
import Testing

@testable import Operations

@Suite("The outline of a migration")
struct OutlineTests {
    static func facts(
        method: MigrationPlan.Method = .threeFreeze, settlement: MigrationPlan.Settlement = .late,
        compares: Bool = false, dialect: DRBDDialect? = .v84,
        volume: VolumeSpec? = nil, removesSource: Bool = false, reused: Bool = false
    ) throws -> OutlineFacts {
        let volume = try volume ?? Sample.specification("web1")
        let spec = MigrationSpec(
            id: try MigrationID("web1-20261121-XXXX"), domain: try DomainName("web1"), uuid: "u",
            memory: .mebibytes(96), source: Endpoint(name: try HostName("nodea"), address: "10.77.0.1"),
            target: Endpoint(name: try HostName("nodeb"), address: "10.77.0.2"), volumes: [volume],
            plan: MigrationPlan(method: method, settlement: settlement, comparesCopies: compares), verifies: compares,
            bandwidth: nil,
            removesSource: removesSource)
        let group = GroupFacts(
            name: try VolumeGroupName("vg0"), free: .gibibytes(1), extentSize: .mebibytes(4))
        func host(_ name: String, _ boot: String) throws -> OutlineHost {
            OutlineHost(
                name: try HostName(name), images: "/var/lib/xenlvs/images", boot: boot, dialect: dialect,
                groups: [group])
        }
        return OutlineFacts(
            spec: spec, domain: try #require(DomainID(12)), boot: String(try MachineIdentity.read().prefix(8)),
            source: try host("nodea", "aaaaaaaa"), target: try host("nodeb", "bbbbbbbb"),
            reused: reused ? [volume.name] : [], methodReason: "as was asked for")
    }

    private func commands(_ facts: OutlineFacts, _ step: Step) throws -> [String] {
        let outline = try OutlineBuilder(facts).outline()
        let actions = try #require(outline.steps.first { $0.step == step }).actions
        return actions.filter { $0.kind == .command }.map(\.text)
    }

    @Test("Its text is the recorded one")
    func golden() throws {
        let path = #filePath.replacing("OutlineTests.swift", with: "Fixtures/outline.txt")
        let recorded = try #require(FileManager.default.contents(atPath: path))
        #expect(try OutlineBuilder(Self.facts()).outline().text == String(decoding: recorded, as: UTF8.self))
    }

    @Test("DRBD is attached beside a switch, which goes with the source's copy")
    func switched() throws {
        var facts = try Self.facts()
        facts.source.switches[try VolumeName("web1")] = OutlineHost.SwitchDevices(path: "/dev/s", lower: "/dev/l")
        let outline = try OutlineBuilder(facts).outline()
        func texts(_ step: Step) throws -> [String] {
            try #require(outline.steps.first { $0.step == step }).actions.map(\.text)
        }
        let made = try texts(.makeSourceReplica)
        #expect(made.first == "make the device /dev/l over /dev/vg0/web1")
        #expect(made.contains { $0.hasPrefix("drbdsetup attach 3 /dev/l /dev/vg0/web1.drbdmd") })
        let cleaned = try texts(.cleanSource)
        #expect(cleaned.contains("remove the device /dev/l") && cleaned.contains("remove the device /dev/s"))
        let target = try texts(.makeTargetReplica)
        #expect(target.contains { $0.hasPrefix("drbdsetup attach 7 /dev/vg0/web1 ") })
    }

    @Test("By switches, the tables are exchanged and closed where the links would be turned")
    func oneFreeze() throws {
        var facts = try Self.facts(method: .oneFreeze)
        let devices = OutlineHost.SwitchDevices(path: "/dev/mapper/xenlvs-switch-web1", lower: "/dev/l")
        facts.source.switches[try VolumeName("web1")] = devices
        facts.target.switches[try VolumeName("web1")] = devices
        let outline = try OutlineBuilder(facts).outline()
        #expect(outline.steps.compactMap(\.step) == facts.spec.plan.steps)
        #expect(outline.steps.allSatisfy { !$0.actions.isEmpty })
        #expect(Set(outline.steps.compactMap(\.freeze)) == [1])
        func texts(_ step: Step) throws -> String {
            try #require(outline.steps.first { $0.step == step }).actions.map(\.text).joined(separator: "\n")
        }
        #expect(try texts(.leadSourceToReplica) == "/dev/mapper/xenlvs-switch-web1: lead to /dev/drbd3")
        #expect(try texts(.linkTargetToSwitch).contains("refusing every request"))
        #expect(try texts(.demoteSource).hasPrefix("/dev/mapper/xenlvs-switch-web1: refuse every request\ndrbdsetup"))
        #expect(try texts(.promoteTarget).hasSuffix("/dev/mapper/xenlvs-switch-web1: lead to /dev/drbd7"))
        #expect(try texts(.leadTargetToVolume) == "/dev/mapper/xenlvs-switch-web1: lead to /dev/vg0/web1")
        let synchronise = try texts(.synchronise)
        #expect(synchronise.contains("to nodeb\nxl dump-core") && synchronise.contains("sent ahead"), "\(synchronise)")
    }

    @Test("Live, both sides are Primary from the copies' being equal until the guest runs on the target")
    func live() throws {
        var facts = try Self.facts(method: .live)
        let devices = OutlineHost.SwitchDevices(path: "/dev/mapper/xenlvs-switch-web1", lower: "/dev/l")
        facts.source.switches[try VolumeName("web1")] = devices
        facts.target.switches[try VolumeName("web1")] = devices
        let outline = try OutlineBuilder(facts).outline()
        #expect(outline.steps.compactMap(\.step) == facts.spec.plan.steps)
        func texts(_ step: Step) throws -> String {
            try #require(outline.steps.first { $0.step == step }).actions.map(\.text).joined(separator: "\n")
        }
        #expect(try texts(.openWindow).contains("--allow-two-primaries=yes"))
        #expect(try texts(.promoteTarget).hasSuffix("/dev/mapper/xenlvs-switch-web1: lead to /dev/drbd7"))
        #expect(try texts(.moveLive).contains("xl migrate-receive -p\nxl -vvv migrate -s '' 12 TRANSPORT"))
        #expect(try texts(.quietSource) == "/dev/mapper/xenlvs-switch-web1: refuse every request")
        #expect(try texts(.startOnTarget) == "xl unpause DOMID")
        let closing = try texts(.demoteSource)
        #expect(closing.hasPrefix("drbdsetup secondary") && closing.contains("--allow-two-primaries=no"))
        #expect(Set(outline.steps.compactMap(\.freeze)) == [1])
    }

    @Test("Where the disks are shared nothing is made, copied or removed, and no DRBD number taken")
    func shared() throws {
        for method in [MigrationPlan.Method.live, .oneFreeze] {
            var facts = try Self.facts()
            facts.spec.volumes = []
            facts.spec.sharedDisks = [
                DiskSpec(name: try VolumeName("web1"), device: "xvda", size: .mebibytes(64))
            ]
            facts.spec.plan = MigrationPlan(method: method, storage: .shared, settlement: .late, comparesCopies: false)
            let outline = try OutlineBuilder(facts).outline()
            #expect(outline.steps.compactMap(\.step) == facts.spec.plan.steps)
            let text = outline.steps.flatMap(\.actions).map { "\($0.kind) \($0.text)" }.joined(separator: "\n")
            for word in ["drbd", "DRBD", "lvcreate", "lvremove", "link "] { #expect(!text.contains(word), "\(text)") }
            #expect(text.contains("xl migrate-receive -p") == (method == .live))
            #expect(text.contains("xl restore -p /dev/stdin") == (method == .oneFreeze))
        }
    }

    @Test("It has every step of the plan, in order, and the freezes that belong to them")
    func steps() throws {
        for settlement in MigrationPlan.Settlement.allCases {
            let facts = try Self.facts(settlement: settlement, compares: true)
            let outline = try OutlineBuilder(facts).outline()
            #expect(outline.steps.compactMap(\.step) == facts.spec.plan.steps)
            #expect(outline.steps.map(\.number) == Array(0...facts.spec.plan.steps.count))
            #expect(outline.steps.allSatisfy { !$0.actions.isEmpty })
            #expect(Set(outline.steps.compactMap(\.freeze)) == (settlement == .late ? [1, 2, 3] : [1, 2]))
        }
    }

    @Test("No secret is in it")
    func secrets() throws {
        let facts = try Self.facts()
        for step in [Step.connectTarget, .connectSource] {
            let line = try #require(try commands(facts, step).first)
            #expect(line.contains("[secret]"))
            #expect(!line.contains("shared-secret"))
        }
        let json = try OutlineBuilder(facts).outline().json()
        #expect(!json.contains("shared-secret"))
    }

    /// Statuses as the kernel gives them when the copies are complete and the source is Secondary.
    private func status(minor: Int, role: String, peer: String) throws -> ReplicaStatus? {
        try ReplicaStatus.parse(
            events2: """
                exists resource name:xenlvs-web1 role:\(role) suspended:no
                exists connection name:xenlvs-web1 peer-node-id:0 conn-name:x connection:Connected role:\(peer) congested:no
                exists device name:xenlvs-web1 volume:0 minor:\(minor) disk:UpToDate size:65536 read:0 written:0
                exists peer-device name:xenlvs-web1 peer-node-id:0 conn-name:x volume:0 replication:Established \
                peer-disk:UpToDate resync-suspended:no received:0 sent:0 out-of-sync:0
                exists -
                """, resource: "xenlvs-web1")
    }

    @Test("Its promotion is the command that the permit allows", arguments: DRBDDialect.allCases)
    func promotion(_ dialect: DRBDDialect) throws {
        let facts = try Self.facts(dialect: dialect)
        let volume = facts.spec.volumes[0]
        let permit = try PromotionPermit([
            ReplicaPair(
                volume: volume.name, size: volume.size,
                source: try status(minor: 3, role: "Secondary", peer: "Secondary"),
                target: try status(minor: 7, role: "Secondary", peer: "Secondary"))
        ])
        let device = ReplicaDevice(
            volume: volume.name, minor: 7, size: volume.size, lowerPath: "/dev/vg0/web1",
            metadataPath: "/dev/vg0/web1.drbdmd")
        let real = try DRBDCommands(dialect: dialect).primary(device, permit)
        #expect(try commands(facts, .promoteTarget) == [real.description])
    }

    @Test("Its forced promotion is the command that fresh metadata allow", arguments: DRBDDialect.allCases)
    func forcedPromotion(_ dialect: DRBDDialect) throws {
        let device = ReplicaDevice(
            volume: try VolumeName("web1"), minor: 3, size: .mebibytes(64), lowerPath: "/dev/vg0/web1",
            metadataPath: "/dev/vg0/web1.drbdmd")
        let fresh = try ReplicaStatus.parse(
            events2: """
                exists resource name:xenlvs-web1 role:Secondary suspended:no
                exists device name:xenlvs-web1 volume:0 minor:3 disk:Inconsistent size:65536 read:0 written:0
                exists -
                """, resource: "xenlvs-web1")
        let generation = DataGeneration("0000000000000004:0000000000000000:0000000000000000:0000000000000000:0:0:0")
        let proof = try FreshMetadata(of: device, generation: generation, status: fresh)
        let real = DRBDCommands(dialect: dialect).primaryForcedOnce(proof)
        #expect(try commands(try Self.facts(dialect: dialect), .promoteSource) == [real.description])
    }

    @Test("A host without DRBD loads it first, and takes it for the other host's dialect")
    func loading() throws {
        var facts = try Self.facts(dialect: .v9)
        facts.target.dialect = nil
        let lines = try commands(facts, .makeTargetReplica)
        #expect(lines.first == DRBDModule.load.description)
        #expect(lines.contains { $0.contains("v09") })
        #expect(try commands(facts, .makeSourceReplica).first == "drbdsetup down xenlvs-web1")
    }

    @Test("A volume in a directory is a file behind a loop device that is yet to be named")
    func files() throws {
        let place = VolumePlace.file(pool: "/srv/pool")
        var facts = try Self.facts(volume: try Sample.specification("web1", source: place, target: place))
        facts.source.loops = [try VolumeName("web1"): "/dev/loop4"]
        let outline = try OutlineBuilder(facts).outline()
        let text = outline.text
        #expect(text.contains("make /srv/pool/web1.img, 64 MiB"))
        #expect(text.contains("drbdsetup attach 7 /dev/LOOP-web1.img /dev/LOOP-web1.drbdmd"))
        #expect(text.contains("drbdsetup attach 3 /dev/loop4 /dev/LOOP-web1.drbdmd"))
        #expect(outline.placeholders.map(\.word).contains("/dev/LOOP-"))
        #expect(!text.contains("lvcreate"))
    }

    @Test("An earlier copy is used again instead of being made, and the source's is removed only where that is wanted")
    func copies() throws {
        #expect(try commands(try Self.facts(reused: true), .makeTargetVolumes) == ["lvchange --activate y vg0/web1"])
        let kept = try commands(try Self.facts(), .cleanSource).filter { $0.contains("lvremove") }
        #expect(kept.count == 1)
        let removed = try commands(try Self.facts(removesSource: true), .cleanSource).filter { $0.contains("lvremove") }
        #expect(removed.count == 2)
        #expect(removed.last?.contains("lv_name=\"web1\"") == true)
    }

    @Test("A group without room is refused while nothing has been changed")
    func room() throws {
        var facts = try Self.facts()
        facts.target.groups[0].free = .mebibytes(32)
        #expect(throws: Failure.self) { try OutlineBuilder(facts).outline() }
    }

    @Test("Its JSON names each step, its host, what is done and in which freeze")
    func json() throws {
        struct Document: Decodable {
            struct Step: Decodable {
                struct Action: Decodable { var host, kind, text: String }
                var number: Int
                var step: String?
                var phase, title: String
                var freeze: Int?
                var actions: [Action]
            }
            var domain, source, target: String
            var steps: [Step]
        }
        let text = try OutlineBuilder(Self.facts()).outline().json()
        let document = try JSONDecoder().decode(Document.self, from: Data(text.utf8))
        #expect(document.domain == "web1")
        #expect((document.source, document.target) == ("nodea", "nodeb"))
        let save = try #require(document.steps.first { $0.step == "saveForReplica" })
        #expect(save.freeze == 1)
        #expect(save.actions.last?.host == "nodea")
        #expect(save.actions.last?.kind == "command")
        #expect(
            save.actions.last?.text
                == "xl save 12 /var/lib/xenlvs/images/web1-20261121-XXXX.1.aaaaaaaa.image")
    }
}
