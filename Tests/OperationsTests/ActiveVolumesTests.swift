import DeviceMapper
import HostModel
import Storage
import Testing

@testable import Operations

@Suite("LVs as the kernel has them")
struct ActiveVolumesTests {
    private static let group = "AbCdEf1234AbCdEf1234AbCdEf123456"
    private static let uuids = ["a", "b"].map { "00000" + $0 + "-1111-2222-3333-4444-5555-666666" }

    private func volume(_ name: String, _ index: Int, size: ByteCount = .mebibytes(64)) -> Volume {
        Volume(
            name: VolumeName(unchecked: name),
            place: .logicalVolume(
                group: VolumeGroupName(unchecked: "vg-0"), name: LogicalVolumeName(unchecked: name)),
            size: size, logicalVolumeUUID: Self.uuids[index])
    }

    private func device(_ name: String, _ index: Int, suffix: String = "", opened: Int = 0) -> MappedDevice {
        MappedDevice(
            name: "vg--0-\(name)", uuid: "LVM-" + Self.group + Self.uuids[index].replacing("-", with: "") + suffix,
            number: BlockDeviceNumber(major: 253, minor: UInt32(index)), isSuspended: false, table: nil,
            hasInactiveTable: false, openCount: opened)
    }

    private func look(_ volumes: [Volume], _ devices: [MappedDevice]) throws -> [LogicalVolume]? {
        try ActiveVolumes.logicalVolumes(of: volumes, among: devices) { _ in .mebibytes(64) }
    }

    @Test("Where all are there as recorded, LVM need not be asked")
    func known() throws {
        let found = try #require(
            try look([volume("web1", 0), volume("a-b", 1)], [device("web1", 0, opened: 1), device("a--b", 1)]))
        #expect(found.map(\.reference.description) == ["vg-0/web1", "vg-0/a-b"])
        #expect(found.map(\.isOpen) == [true, false] && found.map(\.device?.minor) == [0, 1])
        for (volume, lv) in zip([volume("web1", 0), volume("a-b", 1)], found) { try volume.check(lv) }
        let file = Volume(name: VolumeName(unchecked: "f"), place: .file(pool: "/srv"), size: .mebibytes(1))
        #expect(try look([file], []) == [])
    }

    @Test("What is not active, another LV, another size or has LVs below it is LVM's to tell")
    func unknown() throws {
        let wanted = volume("web1", 0)
        #expect(try look([wanted], []) == nil)
        #expect(try look([wanted], [device("web1", 1)]) == nil)
        #expect(try look([volume("web1", 0, size: .mebibytes(32))], [device("web1", 0)]) == nil)
        #expect(try look([wanted], [device("web1", 0), device("web1-real", 0, suffix: "-real")]) == nil)
        var unrecorded = wanted
        unrecorded.logicalVolumeUUID = nil
        #expect(try look([unrecorded], [device("web1", 0)]) == nil)
    }
}
