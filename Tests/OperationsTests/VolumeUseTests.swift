import Domains
import HostModel
import Migration
import Replication
import Storage
import Testing

@testable import Operations

@Suite("What holds a volume")
struct VolumeUseTests {
    private func use() -> HostUse {
        HostUse(domains: [], replicas: [], migrations: [], logicalVolumes: [], snapshots: [])
    }

    /// `lvs` of LVM 2.03.16, one LV.
    private func report(open: String) throws -> [LogicalVolume] {
        try LVMReport.volumes(
            """
            {"report": [{"lv": [{"vg_name":"vg0", "lv_name":"web1", "lv_uuid":"abc", "lv_size":"67108864", \
            "lv_attr":"-wi-ao----", "lv_tags":"xenlvs,xenlvs.volume=web1", "lv_layout":"linear", "lv_role":"public", \
            "lv_health_status":"", "lv_device_open":"\(open)", "lv_kernel_major":"253", "lv_kernel_minor":"0"}]}]}
            """)
    }

    private func uses(_ use: HostUse, linked: BlockDeviceNumber? = nil) throws -> [VolumeUse] {
        try use.uses(of: try VolumeName("web1"), at: try Sample.lvPlace("web1"), plain: nil, linked: linked)
    }

    @Test("Nothing holds a volume that nobody has open")
    func nothing() throws {
        var use = use()
        use.logicalVolumes = try report(open: "")
        #expect(try uses(use).isEmpty)
    }

    @Test("A domain that has what the link leads to holds the volume")
    func domain() throws {
        var use = use()
        use.domains = [(Sample.lower, "web1"), (BlockDeviceNumber(major: 253, minor: 1), "other")]
        use.logicalVolumes = try report(open: "open")
        #expect(try uses(use, linked: Sample.lower) == [VolumeUse(.domain, "web1")])
    }

    @Test("A device that is open without a reason is told as such")
    func open() throws {
        var use = use()
        use.logicalVolumes = try report(open: "open")
        #expect(try uses(use) == [VolumeUse(.open, "web1")])
        use.snapshots = try SnapshotCommands.parse(Self.snapshots)
        #expect(try uses(use) == [VolumeUse(.snapshot, "cli-s"), VolumeUse(.open, "web1")])
    }

    @Test("A replica and an open migration hold the volume")
    func replicaAndMigration() throws {
        var use = use()
        use.replicas = try ReplicaStatus.parse(
            events2: "exists resource name:xenlvs-web1 role:Primary suspended:no\nexists -\n")
        use.migrations = [try Sample.migration(.source, decided: false)]
        #expect(
            try uses(use) == [VolumeUse(.replica, "xenlvs-web1"), VolumeUse(.migration, "web1-20261121-0001")])
    }

    @Test("Xen's block backend names the device of a domain in hexadecimal")
    func backend() throws {
        let backend = BlockBackend(entry: "vbd-13-51712", physicalDevice: "fd:1f\n")
        #expect(backend?.domain == DomainID(13))
        #expect(backend?.device == BlockDeviceNumber(major: 253, minor: 31))
    }

    @Test(
        "What is no open disk of a guest is passed over",
        arguments: [
            ("vif-13-0", "fd:1"), ("vbd-13-51712", ""), ("vbd-13-51712", "0:0"), ("vbd-0-51712", "fd:1"),
            ("vbd-13", "fd:1"), ("vbd-13-51712", "fd"),
        ])
    func noBackend(_ entry: String, _ device: String) {
        #expect(BlockBackend(entry: entry, physicalDevice: device) == nil)
    }

    /// Recorded from `lvs` of LVM 2.03.16 with one snapshot, `cli-s`.
    static let snapshots = """
          {
              "report": [
                  {
                      "lv": [
                          {"vg_name":"vg0", "lv_name":"cli-s", "origin":"web1", "lv_size":"12582912", \
        "data_percent":"41.67", "lv_attr":"swi-a-s---"}
                      ]
                  }
              ]
          }
        """

    @Test("Snapshots are read with their origin and how full they are")
    func snapshot() throws {
        let snapshot = try #require(try SnapshotCommands.parse(Self.snapshots).first)
        #expect(snapshot.origin.text == "web1")
        #expect(snapshot.size == .mebibytes(12))
        #expect(snapshot.condition == "42 % full")
        let invalid = Self.snapshots.replacing("swi-a-s---", with: "swi-I-s---")
        #expect(try SnapshotCommands.parse(invalid).first?.isInvalid == true)
        #expect(throws: Failure.self) { try SnapshotCommands.parse("nothing") }
    }

    @Test("A snapshot is made with its room, our tags and no monitoring, and only where there is room")
    func createSnapshot() throws {
        let group = try #require(
            try LVMReport.groups(
                """
                {"report": [{"vg": [{"vg_name":"vg0", "vg_uuid":"u", "vg_size":"8585740288", "vg_free":"16777216", \
                "vg_extent_size":"4194304", "vg_attr":"wz--n-", "vg_missing_pv_count":"0"}]}]}
                """
            ).first)
        func command(_ size: ByteCount) throws -> Command {
            try SnapshotCommands.create(
                try VolumeName("s1"), of: try VolumeName("web1"),
                origin: LogicalVolumeReference(group: group.name, name: try LogicalVolumeName("web1")), size: size,
                in: group)
        }
        #expect(
            try command(.mebibytes(8)).description
                == "lvcreate --snapshot --ignoremonitoring --size 8388608b --name s1 --addtag xenlvs "
                + "--addtag xenlvs.snapshot=web1 vg0/web1")
        #expect(throws: Failure.self) { try command(.mebibytes(32)) }
    }
}
