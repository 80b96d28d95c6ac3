import HostModel
import Testing

@testable import Storage

@Suite("LVM's reports")
struct LVMReportTests {
    private func volume(_ name: String) throws -> LogicalVolume {
        try #require(try LVMReport.volumes(Recorded.volumes).first { $0.reference.name.text == name })
    }

    @Test("An active LV is read with its size, tags, UUID, device and users")
    func active() throws {
        let volume = try volume("stt-a")
        #expect(volume.reference.description == "vg0/stt-a")
        #expect(volume.size == .mebibytes(32))
        #expect(volume.uuid == "1uak4d-nSC0-dKgy-sBFE-1e5M-VZLp-5Il3nR")
        #expect(volume.tags == ["xenlvs", "xenlvs.volume=stt-a"])
        #expect(volume.isOurs && volume.carries(.volume(VolumeName(unchecked: "stt-a"))))
        #expect(volume.activation == .active)
        #expect(volume.isOpen == true)
        #expect(!volume.isReadOnly)
        #expect(volume.device == BlockDeviceNumber(major: 254, minor: 2))
        #expect(volume.layout == ["linear"] && volume.role == ["public"] && volume.health == nil)
    }

    @Test("An LV that nobody has open is told from one in use")
    func closed() throws {
        #expect(try volume("stt-a.drbdmd").isOpen == false)
        #expect(try volume("web1").isOpen == true)
    }

    @Test("An inactive LV has no device and is not open, though LVM says 'unknown' of it")
    func inactive() throws {
        let volume = try volume("stt-b")
        #expect(volume.activation == .inactive)
        #expect(volume.device == nil)
        #expect(volume.isOpen == false)
        #expect(!volume.isOurs)
    }

    @Test("LVM without device-mapper leaves activation and users unknown")
    func withoutDeviceMapper() throws {
        let report = Recorded.volumes.replacing("-wi-------", with: "-wi-XX----")
        let volume = try #require(try LVMReport.volumes(report).first { $0.activation == .unknown })
        #expect(volume.isOpen == nil)
    }

    @Test("A suspended LV, one with missing tables and a read-only one are recognised by their attributes")
    func attributes() throws {
        func first(_ attributes: String) throws -> LogicalVolume? {
            try LVMReport.volumes(Recorded.volumes.replacing("-wi-ao----", with: attributes)).first
        }
        #expect(try first("-wi-so----")?.activation == .suspended)
        #expect(try first("-wi-do----")?.activation == .other("d"))
        #expect(try first("-ri-ao----")?.isReadOnly == true)
    }

    @Test("Nothing found is an empty list, not an error")
    func none() throws {
        #expect(try LVMReport.volumes(Recorded.noVolumes).isEmpty)
    }

    @Test("Text before and after the report does not disturb it")
    func noise() throws {
        let noisy = "  WARNING: This metadata update is NOT backed up.\n" + Recorded.volumes + "  done\n"
        #expect(try LVMReport.volumes(noisy).count == 5)
    }

    @Test("A report that was cut off is refused, with its beginning in the message")
    func cut() throws {
        let found = failure { _ = try LVMReport.volumes(String(Recorded.volumes.prefix(900))) }
        #expect(found?.code == .inconsistent)
        #expect(found?.text.contains("report") == true)
        #expect(failure { _ = try LVMReport.volumes("") }?.code == .inconsistent)
        let odd = Recorded.volumes.replacing("\"lv_size\":\"33554432\"", with: "\"lv_size\":\"32m\"")
        #expect(failure { _ = try LVMReport.volumes(odd) }?.text.contains("lv_name=stt-a") == true)
        let short = Recorded.volumes.replacing("\"lv_role\"", with: "\"lv_rule\"")
        #expect(failure { _ = try LVMReport.volumes(short) }?.text.contains("lv_role is missing") == true)
    }

    @Test("An LV whose group's name xenlvs cannot use does not hide the others")
    func foreignNames() throws {
        let long = String(repeating: "g", count: 100)
        let row = #""vg_name":"vg0", "lv_name":"web1""#
        let report = Recorded.volumes.replacing(row, with: row.replacing("vg0", with: long))
        #expect(try LVMReport.volumes(report).count == 4)
    }

    @Test("A volume group is read with its free space and extent size")
    func groups() throws {
        let group = try #require(try LVMReport.groups(Recorded.groups).first)
        #expect(group.name == vg0)
        #expect(group.size.bytes == 8_585_740_288)
        #expect(group.free.bytes == 8_048_869_376)
        #expect(group.extentSize == .mebibytes(4))
        #expect(group.isWriteable && !group.isExported && group.missingPhysicalVolumes == 0)
    }
}

@Suite("LVM's commands")
struct LVMCommandsTests {
    private let reference = LogicalVolumeReference(group: vg0, name: LogicalVolumeName(of: web1))
    private var group: VolumeGroup {
        get throws { try #require(try LVMReport.groups(Recorded.groups).first) }
    }

    @Test("A volume is made in its exact size, wiped and tagged")
    func create() throws {
        let command = try LVMCommands.create(
            LogicalVolumeName(of: web1), size: .mebibytes(256), in: try group,
            tags: [.ours, .volume(web1), try .migration("m-7")])
        #expect(
            command.description
                == "lvcreate --yes --type linear --wipesignatures y --zero y --size 268435456b --name web1 "
                + "--addtag xenlvs --addtag xenlvs.volume=web1 --addtag xenlvs.migration=m-7 vg0")
        #expect(command.effect == .mutation && command.tool == .lvm)
    }

    @Test("A size that is no multiple of the extent, or larger than the free space, is refused and never rounded")
    func noRoom() throws {
        let group = try group
        func refusal(_ size: ByteCount) -> String? {
            let name = LogicalVolumeName(of: web1)
            let found = failure { _ = try LVMCommands.create(name, size: size, in: group, tags: []) }
            return found?.code == .refused ? found?.text : nil
        }
        #expect(refusal(ByteCount(ByteCount.mebibytes(256).bytes + 512))?.contains("extents of 4 MiB") == true)
        #expect(refusal(ByteCount(0)) != nil)
        #expect(refusal(.gibibytes(8))?.contains("7.5 GiB free") == true)
        #expect(refusal(group.free) == nil)
        #expect(group.roundedUp(.mebibytes(5)) == .mebibytes(8))
    }

    @Test("A group that is exported, read-only or incomplete takes no new volume")
    func unusableGroups() throws {
        for change: (inout VolumeGroup) -> Void in [
            { $0.isExported = true }, { $0.isWriteable = false }, { $0.missingPhysicalVolumes = 1 },
        ] {
            var group = try group
            change(&group)
            #expect(throws: Failure.self) {
                try group.checkRoom(for: .mebibytes(4), named: LogicalVolumeName(of: web1))
            }
        }
    }

    @Test("A removal names the LV's UUID, so that another one under the same name stays, and spares one with snapshots")
    func remove() throws {
        let volume = try #require(try LVMReport.volumes(Recorded.volumes).first)
        #expect(
            LVMCommands.remove(volume).arguments == [
                "lvremove", "--yes", "--select",
                "lv_uuid=\"1uak4d-nSC0-dKgy-sBFE-1e5M-VZLp-5Il3nR\"&&lv_role!=\"origin\"&&lv_name=\"stt-a\"", "vg0",
            ])
    }

    @Test(
        "An LV is known to have snapshots, of whatever kind",
        arguments: [
            ("public", false), ("public,snapshot,thicksnapshot", false), ("public,snapshot,thinsnapshot", false),
            ("public,origin,thickorigin", true), ("public,origin,thinorigin,multithinorigin", true),
            ("public,origin,extthinorigin", true),
        ])
    func origin(_ role: String, _ isOrigin: Bool) throws {
        let report = Recorded.volumes.replacing("\"lv_role\":\"public\"", with: "\"lv_role\":\"\(role)\"")
        #expect(try LVMReport.volumes(report).first?.isOrigin == isOrigin)
    }

    @Test("Only a metadata volume of ours that nothing uses is overwritten with zeros")
    func blank() throws {
        let volumes = try LVMReport.volumes(Recorded.volumes)
        let fresh = try #require(volumes.first { $0.reference.name.text == "stt-a.drbdmd" })
        #expect(
            try LVMCommands.blank(fresh).description
                == "fallocate --zero-range --offset 0 --length 4194304 /dev/vg0/stt-a.drbdmd")
        for change: (inout LogicalVolume) -> Void in [
            { $0.tags = [] }, { $0.isOpen = true }, { $0.isOpen = nil }, { $0.activation = .inactive },
            { $0.reference.name = LogicalVolumeName(of: web1) },
        ] {
            var volume = fresh
            change(&volume)
            #expect(failure { _ = try LVMCommands.blank(volume) }?.code == .refused)
        }
    }

    @Test("A volume is only ever extended, by what its group has")
    func extend() throws {
        let volume = try #require(try LVMReport.volumes(Recorded.volumes).first)
        let group = try group
        #expect(
            try LVMCommands.extend(volume, to: .mebibytes(64), in: group).description
                == "lvextend --size 67108864b vg0/stt-a")
        for size in [volume.size, .mebibytes(4), .gibibytes(9), ByteCount(volume.size.bytes + 1)] {
            #expect(throws: Failure.self) { try LVMCommands.extend(volume, to: size, in: group) }
        }
    }

    @Test("Queries ask for JSON in bytes, and for nothing that splits an LV into rows")
    func queries() {
        let command = LVMCommands.findVolume(reference)
        #expect(command.effect == .query)
        #expect(command.arguments.starts(with: ["lvs", "--reportformat", "json", "--units", "b", "--nosuffix"]))
        #expect(command.arguments.suffix(3) == ["--select", "lv_name=\"web1\"", "vg0"])
        #expect(!command.arguments.joined().contains("seg"))
        #expect(LVMCommands.group(vg0).arguments.last == "vg0")
    }

    @Test("Rename, activation and tags go by group and name")
    func changes() {
        #expect(
            LVMCommands.rename(reference, to: LogicalVolumeName(unchecked: "web2")).description
                == "lvrename vg0 web1 web2")
        #expect(LVMCommands.activate(reference).description == "lvchange --activate y vg0/web1")
        #expect(LVMCommands.deactivate(reference).description == "lvchange --activate n vg0/web1")
        #expect(
            LVMCommands.changeTags(reference, add: [.ours], remove: [.volume(web1)]).description
                == "lvchange --addtag xenlvs --deltag xenlvs.volume=web1 vg0/web1")
    }

    @Test(
        "A tag that LVM would refuse is refused first", arguments: ["", "a b", "a,b", "#a", "-a", "a@b", "ä", "a\"b"])
    func illegalTags(_ text: String) {
        #expect(throws: Failure.self) { try LogicalVolumeTag(text) }
    }

    @Test("LVM's own tag characters pass", arguments: ["a:b/c=d!&#_+.-x", "xenlvs.migration=m-2026:1"])
    func legalTags(_ text: String) throws {
        #expect(try LogicalVolumeTag(text).text == text)
    }
}

@Suite("Volumes")
struct VolumeTests {
    @Test("An LV with another UUID or size than recorded is not taken for the volume")
    func check() throws {
        let found = try #require(try LVMReport.volumes(Recorded.volumes).first)
        let place = VolumePlace.logicalVolume(group: vg0, name: found.reference.name)
        var volume = Volume(name: web1, place: place, size: found.size, logicalVolumeUUID: found.uuid)
        #expect(failure { try volume.check(found) } == nil)
        #expect(volume.place.logicalVolume == found.reference)
        volume.size = volume.size + ByteCount(512)
        #expect(failure { try volume.check(found) }?.code == .inconsistent)
        volume.size = found.size
        volume.logicalVolumeUUID = "another"
        #expect(failure { try volume.check(found) }?.text.contains(found.uuid) == true)
    }
}
