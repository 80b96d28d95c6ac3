import HostModel
import Testing

@testable import AoE

@Suite("Addresses and sizes")
struct AddressTests {
    @Test("A MAC address is read in both cases and written in lower case")
    func mac() throws {
        #expect(try MACAddress("02:00:5E:10:00:ff").description == "02:00:5e:10:00:ff")
        #expect(try MACAddress("02:00:5e:10:00:01").value == 0x0200_5e10_0001)
    }

    @Test(
        "What no interface can have as its address is a usage error",
        arguments: [
            "", "02:00:5e:10:00", "02:00:5e:10:00:01:02", "02-00-5e-10-00-01", "2:0:5e:10:0:1", "02:00:5e:10:00:0g",
            "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00", "+2:00:5e:10:00:01",
        ])
    func badMAC(_ text: String) { #expect(throws: Failure.self) { try MACAddress(text) } }

    @Test("Shelves and slots end before their wildcards")
    func range() throws {
        #expect(try AoEAddress(shelf: 65534, slot: 254).description == "e65534.254")
        for (shelf, slot) in [(65535, 0), (-1, 0), (0, 255), (0, -1)] {
            #expect(throws: Failure.self) { try AoEAddress(shelf: shelf, slot: slot) }
        }
        #expect(try AoEAddress(shelf: 4095, slot: 0).isIgnoredByLinux)
    }

    @Test(
        "The sectors of a frame follow the MTU, in blocks of 4 KiB where it holds one",
        arguments: [(500, 0), (1500, 2), (4000, 7), (4500, 8), (8000, 8), (9000, 16), (9216, 16), (65535, 16)])
    func sectors(_ mtu: Int, _ sectors: Int) { #expect(TargetMachine.maximumSectors(mtu: mtu) == sectors) }

    @Test("IDENTIFY tells the old, smaller size as large as it can, and the true one beside it")
    func identifySizes() {
        let facts = DeviceFacts(
            sectors: 1 << 40, serial: "ab", firmware: "0.1.0", model: "xenlvs", isReadOnly: false,
            physicalBlockSize: 4096, trims: false, hasWriteCache: true)
        let bytes = IdentifyData.bytes(facts)
        func word(_ number: Int) -> Int { Int(bytes[2 * number]) | Int(bytes[2 * number + 1]) << 8 }
        #expect(word(60) | word(61) << 16 == 0x0fff_ffff)
        #expect((0..<4).reduce(0) { $0 | word(100 + $1) << (16 * $1) } == 1 << 40)
        #expect(word(1) == 16383)
        #expect(word(106) == 0x6003)
        #expect(word(169) == 0)
        #expect(word(82) & word(85) & 0x20 == 0x20)
        #expect(Array(bytes[20..<24]) == Array("ba  ".utf8))
    }
}
