import DeviceMapper
import HostModel
import Storage
import Testing

@testable import Operations

@Suite("Switches as they stand")
struct SwitchVerdictTests {
    private static let lv = BlockDeviceNumber(major: 253, minor: 0)
    private static let size = ByteCount.mebibytes(64)
    private static let sectors: UInt64 = 131_072
    private static let identity = MappedIdentity.ofSwitch(VolumeName(unchecked: "web1"), logicalVolumeUUID: "abc")

    private static func device(
        to number: BlockDeviceNumber? = lv, sectors: UInt64 = sectors, name: String = "xenlvs-switch-web1",
        uuid: String = "xenlvs-switch-abc", isSuspended: Bool = false
    ) -> MappedDevice {
        MappedDevice(
            name: name, uuid: uuid, number: BlockDeviceNumber(major: 253, minor: 9), isSuspended: isSuspended,
            table: number.map { MappingTable(linearTo: $0, sectors: sectors) }, hasInactiveTable: false, openCount: 1)
    }

    private static let drbd3 = BlockDeviceNumber(major: 147, minor: 3)

    @Test(
        "What the kernel shows is judged by what is recorded",
        arguments: [
            (nil, .volume, .missing), (nil, .replica(minor: 3), .missing),
            (device(), .volume, .right), (device(), .replica(minor: 3), .stillOnVolume),
            (device(to: drbd3), .replica(minor: 3), .right), (device(to: drbd3), .volume, .stillOnReplica),
            (device(to: drbd3), .replica(minor: 4), .elsewhere),
            (device(to: BlockDeviceNumber(major: 253, minor: 1)), .volume, .elsewhere),
            (device(to: BlockDeviceNumber(major: 8, minor: 3)), .replica(minor: 3), .elsewhere),
            (device(to: nil), .volume, .unfinished), (device(to: nil), .replica(minor: 3), .unfinished),
            (device(isSuspended: true), .volume, .suspended),
            (device(to: drbd3, isSuspended: true), .replica(minor: 3), .suspended),
            (device(sectors: sectors - 8), .volume, .wrongSize), (device(sectors: sectors + 8), .volume, .wrongSize),
            (device(uuid: "LVM-abc"), .volume, .foreign), (device(uuid: ""), .volume, .foreign),
            (device(uuid: "xenlvs-switch-other"), .volume, .foreign), (device(name: "mine"), .volume, .foreign),
        ] as [(MappedDevice?, SwitchGoal, SwitchVerdict)])
    func verdict(_ found: MappedDevice?, _ goal: SwitchGoal, _ expected: SwitchVerdict) {
        #expect(
            SwitchVerdict(found, Self.identity, goal: goal, SwitchEnds(plain: Self.lv), size: Self.size) == expected)
    }

    @Test("Where the LV is not active no switch is taken to lead to it")
    func inactive() {
        #expect(
            SwitchVerdict(Self.device(), Self.identity, goal: .volume, SwitchEnds(), size: Self.size) == .elsewhere)
    }

    private static let target = BlockDeviceNumber(major: 253, minor: 4)

    private static func mirrored(
        from source: BlockDeviceNumber = lv, to copy: BlockDeviceNumber = target, window: UInt64 = sectors
    ) -> MappedDevice {
        var found = device()
        let mirror = MirrorTarget(
            log: .disk(BlockDeviceNumber(major: 253, minor: 5)), regionSectors: 1024, source: source, copy: copy)
        found.table = MappingTable(mirroring: mirror, window: window, sectors: sectors)
        return found
    }

    private static func move(_ stage: VolumeMove.Stage) throws -> SwitchGoal {
        .move(
            VolumeMove(
                stage: stage, place: try Sample.lvPlace("web1", in: "vg1"), size: size,
                formerName: VolumeName(unchecked: "web1.old"), hasSameData: false))
    }

    @Test(
        "A switch on its way to another place is judged by how far the move is recorded",
        arguments: [
            (nil, .copying, true, .missing), (device(), .preparing, true, .stillOnVolume),
            (device(), .copying, true, .stillOnVolume),
            // The other place has the newer data.
            (device(), .decided, true, .elsewhere),
            (mirrored(), .preparing, true, .stillCopying), (mirrored(), .copying, true, .copying),
            (mirrored(window: 2048), .copying, true, .copying), (mirrored(), .decided, true, .copying),
            (mirrored(), .copying, false, .copyFailed), (mirrored(), .decided, false, .copyFailed),
            (mirrored(from: target, to: lv), .copying, true, .elsewhere),
            (mirrored(to: drbd3), .copying, true, .elsewhere),
            (device(to: target), .decided, true, .onTarget), (device(to: target), .copying, true, .elsewhere),
            (device(to: target), .preparing, true, .elsewhere), (device(to: drbd3), .decided, true, .elsewhere),
            (device(isSuspended: true), .copying, true, .suspended), (device(to: nil), .copying, true, .unfinished),
        ] as [(MappedDevice?, VolumeMove.Stage, Bool, SwitchVerdict)])
    func moves(_ found: MappedDevice?, _ stage: VolumeMove.Stage, _ isWell: Bool, _ expected: SwitchVerdict) throws {
        let status = MirrorStatus(synced: 5, regions: 10, copy: isWell ? nil : .write)
        let ends = SwitchEnds(plain: Self.lv, copy: Self.target)
        let goal = try Self.move(stage)
        #expect(
            SwitchVerdict(found, Self.identity, goal: goal, ends, size: Self.size, mirror: status) == expected)
        var volume = try Sample.volume("web1")
        volume.switchGoal = goal
        let facts = SwitchFacts(volume, Self.identity, found, ends, mirror: status)
        #expect(facts.verdict == expected && facts.why?.isEmpty == false && facts.remedy?.isEmpty == false)
        #expect(facts.goal == "move")
    }

    @Test("A mirror in the switch of a volume that is to go nowhere is nothing of ours")
    func strayMirror() {
        #expect(
            SwitchVerdict(
                Self.mirrored(), Self.identity, goal: .volume, SwitchEnds(plain: Self.lv), size: Self.size)
                == .elsewhere)
    }

    @Test("The switch keeps the name by which it was made when the volume is elsewhere")
    func key() throws {
        var volume = try Sample.volume("web1")
        #expect(volume.deviceKey == "abc")
        (volume.place, volume.logicalVolumeUUID, volume.switchKey) = (
            try Sample.lvPlace("web1", in: "vg1"), "def", "abc"
        )
        volume.switchGoal = .volume
        #expect(volume.deviceKey == "abc")
        var use = HostUse(domains: [], replicas: [], migrations: [], logicalVolumes: [], snapshots: [])
        use.mapped = MappedByIdentity([Self.device()])
        #expect(use.devices(of: volume) == [Self.device()])
    }

    @Test("Whatever is not right is told with its reason and something to do")
    func words() throws {
        var volume = try Sample.volume("web1")
        volume.switchGoal = .volume
        for found in [
            nil, Self.device(to: nil), Self.device(isSuspended: true), Self.device(sectors: 8),
            Self.device(to: Self.drbd3), Self.device(to: BlockDeviceNumber(major: 8, minor: 1)),
            Self.device(uuid: "x"),
        ] {
            let facts = SwitchFacts(volume, Self.identity, found, SwitchEnds(plain: Self.lv))
            #expect(facts.why?.isEmpty == false && facts.remedy?.isEmpty == false, "\(facts.verdict)")
        }
        let right = SwitchFacts(volume, Self.identity, Self.device(), SwitchEnds(plain: Self.lv))
        #expect(right.why == nil && right.remedy == nil && right.leadsTo == "253:0")
    }

    @Test("A switch is no stranger on its volume, and the guest that has it has the volume")
    func uses() throws {
        var volume = try Sample.volume("web1")
        volume.switchGoal = .volume
        var use = HostUse(domains: [], replicas: [], migrations: [], logicalVolumes: [], snapshots: [])
        use.mapped = MappedByIdentity([
            Self.device(), Self.device(name: "xenlvs-switch-web2", uuid: "xenlvs-switch-def"),
        ])
        #expect(use.devices(of: volume) == [Self.device()])
        use.domains = [(BlockDeviceNumber(major: 253, minor: 9), "web1")]
        let found = try use.uses(
            of: volume.name, at: volume.place, plain: nil, linked: nil, own: use.devices(of: volume))
        #expect(found == [VolumeUse(.domain, "web1")])
        volume.switchGoal = nil
        #expect(use.devices(of: volume).isEmpty)
    }

    @Test("The link of a volume with a switch has to hold the switch")
    func backing() throws {
        var volume = try Sample.volume("web1")
        #expect(volume.backingPath == "/dev/vg0/web1")
        for goal in [SwitchGoal.volume, .replica(minor: 3)] {
            volume.switchGoal = goal
            #expect(volume.backingPath == "/dev/mapper/xenlvs-switch-web1")
        }
        let file = Volume(name: volume.name, place: .file(pool: "/srv"), size: volume.size)
        #expect(file.backingPath == "/srv/web1.img")
    }

    @Test("Runs can be ended at the steps of a swap")
    func crashPoints() throws {
        for step in SwapStep.allCases {
            let point = try CrashPoint(.crash, at: "\(step.rawValue):after")
            #expect(point.step == step.rawValue && point.moment == .after)
        }
        #expect(throws: Failure.self) { try CrashPoint(.crash, at: "swapNothing:after") }
    }
}
