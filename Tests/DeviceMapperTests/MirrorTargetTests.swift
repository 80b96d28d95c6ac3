import Storage
import Testing

@testable import DeviceMapper

@Suite("Mirrors")
struct MirrorTargetTests {
    private static let source = BlockDeviceNumber(major: 1, minor: 0)
    private static let copy = BlockDeviceNumber(major: 1, minor: 1)
    private static let log = BlockDeviceNumber(major: 254, minor: 1)

    @Test(
        "Tables that Linux 6.1 has taken, and prints again",
        arguments: [
            (MirrorTarget.Log.disk(log), "disk 2 254:1 128 2 1:0 0 1:1 0 1 handle_errors"),
            (.synced, "core 2 128 nosync 2 1:0 0 1:1 0 1 handle_errors"),
        ])
    func tables(_ log: MirrorTarget.Log, _ text: String) throws {
        let target = MirrorTarget(log: log, regionSectors: 128, source: Self.source, copy: Self.copy)
        #expect(target.parameters == text)
        #expect(MirrorTarget(parameters: text + " ") == target)
        let table = try #require(MappingTable(parsing: "0 131072 mirror \(text)"))
        #expect(table == MappingTable(mirroring: target, window: 131_072, sectors: 131_072))
        #expect(table.mirror?.target == target && table.mirror?.window == 131_072 && table.soleDevice == nil)
    }

    @Test("Behind the window the table leads to the first device")
    func window() throws {
        let target = MirrorTarget(log: .disk(Self.log), regionSectors: 128, source: Self.source, copy: Self.copy)
        let table = MappingTable(mirroring: target, window: 8192, sectors: 131_072)
        let text = """
            0 8192 mirror disk 2 254:1 128 2 1:0 0 1:1 0 1 handle_errors
            8192 122880 linear 1:0 8192
            """
        #expect(table.description == text && MappingTable(parsing: text) == table)
        #expect(table.mirror?.window == 8192 && table.sectors == 131_072)
        for other in ["8192 122880 linear 1:1 8192", "8192 122880 linear 1:0 0", "8192 122880 error"] {
            let text = text.replacing("8192 122880 linear 1:0 8192", with: other)
            #expect(MappingTable(parsing: text) != nil && MappingTable(parsing: text)?.mirror == nil, "\(other)")
        }
    }

    @Test(
        "What xenlvs makes no mirrors with is left as it is",
        arguments: [
            "", "disk", "disk 2 254:1 128 2 1:0 0 1:1 0", "core 1 128 2 1:0 0 1:1 0 1 handle_errors",
            "disk 2 254:1 128 3 1:0 0 1:1 0 1:2 0 1 handle_errors", "disk 2 254:1 128 2 1:0 8 1:1 0 1 handle_errors",
            "disk 2 254:1 128 2 1:0 0 1:1 0 2 handle_errors keep_log",
            "core 2 128 sync 2 1:0 0 1:1 0 1 handle_errors",
            "disk 2 254:1 128 2 1:0 0 1:1 0 1 handle_errors more",
        ])
    func others(_ text: String) { #expect(MirrorTarget(parameters: text) == nil) }

    @Test(
        "How the kernel says that a mirror is",
        arguments: [
            ("2 1:0 1:1 531/1024 1 AA 3 disk 254:1 A", MirrorStatus(synced: 531, regions: 1024)),
            ("2 1:0 1:1 1024/1024 1 AA 1 core ", MirrorStatus(synced: 1024, regions: 1024)),
            ("2 1:0 254:2 1020/1024 1 AD 3 disk 254:1 A", MirrorStatus(synced: 1020, regions: 1024, copy: .write)),
            ("2 1:0 254:2 0/1024 1 AS 3 disk 254:1 A", MirrorStatus(synced: 0, regions: 1024, copy: .copying)),
            ("2 254:2 1:1 1024/1024 1 RA 3 disk 254:1 A", MirrorStatus(synced: 1024, regions: 1024, source: .read)),
            ("2 1:0 1:1 5/9 1 AA 3 disk 254:1 D", MirrorStatus(synced: 5, regions: 9, log: .write)),
            ("2 1:0 1:1 5/9 1 AX 3 disk 254:1 A", MirrorStatus(synced: 5, regions: 9, copy: .unknown)),
        ])
    func status(_ text: String, _ expected: MirrorStatus) throws {
        let status = try #require(MirrorStatus(parameters: text))
        #expect(status == expected)
        #expect(status.isWell == (expected.source == nil && expected.copy == nil && expected.log == nil))
    }

    @Test("Only what has everything and no trouble is whole")
    func whole() {
        #expect(MirrorStatus(synced: 9, regions: 9).isWhole)
        #expect(!MirrorStatus(synced: 8, regions: 9).isWhole)
        #expect(!MirrorStatus(synced: 9, regions: 9, copy: .flush).isWhole)
        #expect(!MirrorStatus(synced: 9, regions: 9, log: .write).isWhole)
    }

    @Test(
        "What is no status of a mirror is none",
        arguments: [
            "", "2 1:0 1:1", "2 1:0 1:1 5 1 AA 1 core", "2 1:0 1:1 10/9 1 AA 1 core", "2 1:0 1:1 5/9 1 A 1 core",
            "3 1:0 1:1 1:2 5/9 1 AAA 1 core", "2 0 0 0 1 1 A 0 1 2 8:0 A 0 0 1", "2 1:0 1:1 5/9 1 AA 3 disk 254:1",
        ])
    func noStatus(_ text: String) { #expect(MirrorStatus(parameters: text) == nil) }
}
