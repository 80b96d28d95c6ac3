import DeviceMapper
import HostModel
import Storage
import Testing

private let lv = BlockDeviceNumber(major: 253, minor: 5)
private let drbd = BlockDeviceNumber(major: 147, minor: 0)

@Suite("Device-mapper tables")
struct MappingTableTests {
    @Test("A table over the whole of a device is written as dmsetup takes it")
    func whole() throws {
        let table = MappingTable(linearTo: lv, sectors: 524_288)
        #expect(table.description == "0 524288 linear 253:5 0")
        #expect(table.sectors == 524_288)
        #expect(table.soleDevice == lv)
        #expect(MappingTable(parsing: table.description) == table)
    }

    @Test("What dmsetup prints is read, also of kinds that xenlvs does not make")
    func read() throws {
        let text = "0 8192 linear 8:16 2048\n8192 8192 striped 2 128 8:16 10240 8:32 2048\n16384 1 error"
        let table = try #require(MappingTable(parsing: text + "\n"))
        #expect(table.targets.map(\.type) == ["linear", "striped", "error"])
        #expect(table.targets[0].kind == .linear(BlockDeviceNumber(major: 8, minor: 16), offset: 2048))
        #expect(table.targets[1].parameters == "2 128 8:16 10240 8:32 2048")
        #expect(table.sectors == 16385)
        #expect(table.soleDevice == nil)
    }

    @Test("A table leads to one device only if it is one line to its beginning")
    func soleDevice() {
        #expect(MappingTable(parsing: "0 8 linear 253:5 0")?.soleDevice == lv)
        #expect(MappingTable(parsing: "0 8 linear 253:5 8")?.soleDevice == nil)
        #expect(MappingTable(parsing: "0 8 linear 253:5 0\n8 8 linear 253:5 8")?.soleDevice == nil)
        #expect(MappingTable(parsing: "0 8 error")?.soleDevice == nil)
    }

    @Test(
        "What is no table is not read as one",
        arguments: [
            "", "\n", "0", "0 8", "0 8 ", "8 8 linear 253:5 0", "0 0 linear 253:5 0", "-1 8 linear 253:5 0",
            "0 +8 linear 253:5 0", "0 8 linear 253:5 0\n16 8 linear 253:5 8", "0 8 linear 253:5 0\n4 8 linear 253:5 8",
            "0 18446744073709551615 error\n18446744073709551615 1 error", "No devices found",
        ])
    func malformed(_ text: String) { #expect(MappingTable(parsing: text) == nil) }

    @Test(
        "Parameters that are not a device and an offset are kept as they are",
        arguments: ["253:5", "253:5 0 0", "253 0", "253:5:1 0", "253:-5 0", "/dev/sda 0", "4294967296:0 0", "253:5 +0"])
    func foreignParameters(_ parameters: String) {
        let target = MappingTarget(start: 0, length: 8, type: "linear", parameters: parameters)
        #expect(target.kind == .other(type: "linear", parameters: parameters))
        #expect(target.description == "0 8 linear \(parameters)")
    }
}

@Suite("Names of switches")
struct MappedIdentityTests {
    private let web1 = VolumeName(unchecked: "web1")
    private let uuid = "zuJmRr-7qQ1-dFQ4-oO6T-0AsC-XyJk-MzFqPp"

    @Test("Name and UUID follow from the volume and its LV")
    func names() {
        let identity = MappedIdentity.ofSwitch(web1, logicalVolumeUUID: uuid)
        #expect(identity.name == "xenlvs-switch-web1")
        #expect(identity.uuid == "xenlvs-switch-\(uuid)")
        #expect(identity.path == MappedIdentity.switchPath(of: web1))
        #expect(MappedIdentity.ofLower(web1, logicalVolumeUUID: uuid).name == "xenlvs-lower-web1")
    }

    @Test("The longest volume's names fit into what device-mapper allows (DM_NAME_LEN 128, DM_UUID_LEN 129)")
    func lengths() throws {
        let longest = try VolumeName(String(repeating: "v", count: VolumeName.longest))
        let identity = MappedIdentity.ofSwitch(longest, logicalVolumeUUID: uuid)
        #expect(identity.name.utf8.count < 128)
        #expect(identity.uuid.utf8.count < 129)
    }

    @Test("No volume's lower device has the name of another volume's switch")
    func apart() throws {
        let names = ["web1", "lower-web1", "switch-web1", "switch-lower-web1"].map { VolumeName(unchecked: $0) }
        let all = names.flatMap {
            [MappedIdentity.ofSwitch($0, logicalVolumeUUID: uuid), .ofLower($0, logicalVolumeUUID: uuid)]
        }
        #expect(Set(all.map(\.name)).count == all.count)
    }

    @Test(
        "A device of another name or UUID is a stranger's",
        arguments: [
            ("xenlvs-switch-web1", "mpath-1", "its UUID is mpath-1"), ("xenlvs-switch-web1", "", "it has no UUID"),
            ("xenlvs-switch-web1", "xenlvs-switch-other", "instead of xenlvs-switch-zuJmRr"),
        ])
    func strangers(_ name: String, _ found: String, _ words: String) {
        let device = MappedDevice(
            name: name, uuid: found, number: lv, isSuspended: false, table: nil, hasInactiveTable: false, openCount: 0)
        let failure = #expect(throws: Failure.self) {
            try device.require(.ofSwitch(web1, logicalVolumeUUID: uuid))
        }
        #expect(failure?.code == .refused)
        #expect(failure?.why?.contains(words) == true)
        #expect(failure?.remedy?.contains("dmsetup") == true)
    }

    @Test("A switch that was renamed is told by its UUID, with the command that renames it back")
    func renamed() {
        let device = MappedDevice(
            name: "mine", uuid: "xenlvs-switch-\(uuid)", number: lv, isSuspended: false, table: nil,
            hasInactiveTable: false, openCount: 0)
        let failure = #expect(throws: Failure.self) {
            try device.require(.ofSwitch(web1, logicalVolumeUUID: uuid))
        }
        #expect(failure?.remedy?.contains("dmsetup rename mine xenlvs-switch-web1") == true)
    }
}
