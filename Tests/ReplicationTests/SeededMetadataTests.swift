import HostModel
import Testing

@testable import Replication

@Suite("Metadata of a copy that was filled past DRBD")
struct SeededMetadataTests {
    private static let device = ReplicaDevice(
        volume: VolumeName(unchecked: "web1"), minor: 3, size: .mebibytes(32), lowerPath: "/dev/vg0/web1",
        metadataPath: "/dev/vg0/web1.meta")

    @Test("It has the source's generation without the Primary's bit, is only Consistent, and misses nothing")
    func text() {
        let text = SeededMetadata(
            of: Self.device, generation: 0x1234_5678_90AB_CDE1, mark: OwnershipMark(value: 0xDEAD_BEEF)
        ).text
        #expect(text.contains("    0x1234567890ABCDE0; 0x0000000000000000;"))
        #expect(text.contains("    flags 0x00000001;"))
        #expect(text.contains("la-size-sect 65536;"))
        #expect(text.contains("device-uuid 0x00000000DEADBEEF;"))
        #expect(text.contains("    128 times 0x0000000000000000;"))
    }

    @Test("The generation is told without the bit that only says who is Primary")
    func generation() throws {
        let found = try #require(
            DataGeneration("F000000000000003:A000000000000001:0000000000000000:0000000000000000:1:1:0:1:0:0:0\n"))
        #expect(found.currentData == 0xF000_0000_0000_0002 && found.bitmapData == 0xA000_0000_0000_0000)
    }

    @Test("A replica begins a new generation, with what was noted before or without")
    func commands() {
        let commands = DRBDCommands(dialect: .v84)
        #expect(
            commands.newGeneration(Self.device, isClean: true).arguments == [
                "new-current-uuid", "3", "--clear-bitmap=yes",
            ])
        #expect(commands.newGeneration(Self.device, isClean: false).arguments == ["new-current-uuid", "3"])
    }
}
