import DiskKit
import Glibc
import Testing

@Suite("Conformance: ATA", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct ATACases {
    /// `00 00 01 EC`, device A0.
    private let identify = Request(command: 0, argument: [0, 0, 1, 0xec, 0, 0, 0, 0xa0, 0, 0, 0, 0])

    @Test("Case 9: IDENTIFY tells 48-bit addresses, the size, and who it is")
    func identifies() throws {
        let wire = try Wire(sectors: 2049)
        let reply = try wire.ask(identify)
        #expect(reply.isGood)
        #expect(reply.data.count == 512)
        #expect(reply.word(83) & 0x0400 != 0)
        #expect(reply.capacity == 2049)
        #expect(UInt32(reply.word(60)) | UInt32(reply.word(61)) << 16 == 2049)
        #expect(reply.text(27..<47).trimmed == "xenlvs")
        #expect(reply.text(10..<20).hasPrefix("XLVS"))
        #expect(reply.text(23..<27).trimmed == "0.1.0")
        #expect(reply.data.reduce(0, &+) == 0, "the checksum of word 255")
        #expect(reply.word(85) & 0x20 == 0, "a durable target has no write cache")
    }

    @Test("Case 10: what follows an IDENTIFY is passed over")
    func identifyTail() throws {
        let wire = try Wire()
        var padded = identify
        padded.argument += [UInt8](repeating: 0xed, count: 1024)
        #expect(try wire.ask(padded).data == wire.ask(identify).data)
    }

    @Test("Case 11: an IDENTIFY with room for no sector is error 2")
    func identifyNothing() throws {
        var request = identify
        request.argument[2] = 0
        #expect(try Wire().ask(request).aoeError == 2)
    }

    @Test("Case 12: READ EXT brings its sectors")
    func readExtended() throws {
        let wire = try Wire()
        try wire.file.put(sectors(3, 4), at: 700)
        let reply = try wire.ask(.read(700, 2))
        #expect(reply.isGood)
        #expect(reply.data == sectors(3, 4))
    }

    @Test("Case 13: READ with 28 bits takes only the low half of the fourth byte")
    func read28() throws {
        let wire = try Wire()
        try wire.file.put(sectors(9), at: 5)
        let reply = try wire.ask(Request(command: 0, argument: [0, 0, 1, 0x20, 5, 0, 0, 0xe0, 0, 0, 0, 0]))
        #expect(reply.isGood)
        #expect(reply.data == sectors(9))
    }

    @Test("Case 14: bytes behind a READ, as in Linux's probe of a path, change nothing")
    func readWithPayload() throws {
        let wire = try Wire()
        try wire.file.put(sectors(1, 2), at: 0)
        let reply = try wire.ask(.ata(count: 2, 0x24, 0, data: [UInt8](repeating: 0, count: 1024)))
        #expect(reply.data == sectors(1, 2))
        #expect(try wire.file.sectors(0..<2) == sectors(1, 2))
    }

    @Test("Case 15: WRITE EXT is answered without data and can be read back")
    func writeExtended() throws {
        let wire = try Wire()
        let reply = try wire.write(44, sectors(6, 7))
        #expect(reply.isGood && reply.bytes.count == 60)
        #expect(try wire.read(44, 2).data == sectors(6, 7))
        #expect(try wire.file.sectors(43..<47) == sectors(0, 6, 7, 0))
        // 28 bits: LBA 1.
        let old = Request(command: 0, argument: [1, 0, 1, 0x30, 1, 0, 0, 0xe0, 0, 0, 0, 0] + sectors(8))
        #expect(try wire.ask(old).isGood)
        #expect(try wire.file.sectors(0..<3) == sectors(0, 8, 0))
    }

    @Test("Cases 16 and 21: more sectors than fit, and none, are aborted")
    func counts() throws {
        let wire = try Wire()
        #expect(try wire.ask(.read(0, 3)).isAborted)
        #expect(try wire.ask(.ata(count: 0, 0x24)).isAborted)
        #expect(try wire.ask(.ata(flags: 0x41, count: 0, 0x34)).isAborted)
        #expect(try wire.ask(.ata(count: 255, 0x42)).isAborted)
    }

    @Test("Case 17: a WRITE with too few bytes is aborted and writes nothing")
    func truncatedWrite() throws {
        let wire = try Wire()
        try wire.file.put(sectors(1, 1), at: 0)
        let request = Request.ata(flags: 0x41, count: 2, 0x34, 0, data: [UInt8](repeating: 9, count: 1023))
        #expect(try wire.ask(request).isAborted)
        #expect(try wire.file.sectors(0..<2) == sectors(1, 1))
    }

    @Test("Cases 18 and 19: the last sector can be read, and nothing of what goes beyond")
    func end() throws {
        let wire = try Wire(sectors: 100)
        try wire.file.put(sectors(7), at: 99)
        #expect(try wire.read(99, 1).data == sectors(7))
        #expect(try wire.read(99, 2).isNotFound)
        #expect(try wire.read(100, 1).isNotFound)
        #expect(try wire.write(99, sectors(1, 1)).isNotFound)
        #expect(try wire.file.sectors(99..<101) == sectors(7))
    }

    @Test("Case 20: addresses of 48 bits are exact beyond 2 TiB, and the highest is not found")
    func highAddresses() throws {
        let wire = try Wire()
        #expect(try wire.ask(.ata(count: 1, 0x24, 0xffff_ffff_ffff)).isNotFound)
        wire.kill()
        // More sectors than 32 bits count; holes take no room.
        wire.file.truncate(sectors: 1 << 32 + 16)
        try wire.start(wire.file.path)
        let sector = 1 << 32 + 1
        #expect(try wire.write(sector, sectors(0x5a)).isGood)
        #expect(try wire.read(sector, 1).data == sectors(0x5a))
        #expect(try wire.read(1, 1).data == sectors(0))
        #expect(try wire.ask(identify).capacity == UInt64(1 << 32 + 16))
    }

    @Test("Case 22: a command that is not served is aborted", arguments: [0xb0, 0x00, 0xc8, 0xef, 0xff] as [UInt8])
    func unknown(_ command: UInt8) throws { #expect(try Wire().ask(.ata(count: 1, command)).isAborted) }

    @Test("SMART RETURN STATUS says by its unchanged signature that all is well")
    func smart() throws {
        let reply = try Wire().ask(.ata(flags: 0, feature: 0xda, count: 0, 0xb0, 0xc2_4f00))
        #expect(reply.isGood)
        #expect(Array(reply.bytes[29...30]) == [0x4f, 0xc2])
    }

    @Test("Case 23: CHECK POWER MODE says active")
    func power() throws {
        let reply = try Wire().ask(.ata(count: 0, 0xe5))
        #expect(reply.isGood)
        #expect(reply.count == 0xff)
    }

    @Test("READ VERIFY reads and brings nothing", arguments: [0x40, 0x42] as [UInt8])
    func verify(_ command: UInt8) throws {
        let reply = try Wire().ask(.ata(count: 2, command, 3))
        #expect(reply.isGood)
        #expect(reply.bytes.count == 60)
    }

    @Test("Case 26: a read-only target aborts a WRITE and is unchanged; a TRIM too")
    func readOnly() throws {
        let wire = try Wire(options: ["--read-only"])
        #expect(try wire.write(0, sectors(1)).isAborted)
        #expect(try wire.ask(.ata(feature: 1, count: 1, 0x06, data: sectors(0))).isAborted)
        #expect(try wire.file.sectors(0..<1) == sectors(0))
        #expect(try wire.read(0, 1).isGood)
    }

    @Test("TRIM empties its ranges and nothing else, and refuses all of them where one is beyond the end")
    func trim() throws {
        let wire = try Wire()
        try wire.file.put([UInt8](repeating: 5, count: 64 * 512), at: 0)
        #expect(try wire.ask(identify).word(169) & 1 == 1)
        // LBA in six bytes and a count in two, the lowest first.
        let ranges: [UInt8] = [8, 0, 0, 0, 0, 0, 8, 0] + [40, 0, 0, 0, 0, 0, 1, 0]
        let padding = [UInt8](repeating: 0, count: 512 - ranges.count)
        #expect(try wire.ask(.ata(feature: 1, count: 1, 0x06, data: ranges + padding)).isGood)
        for sector in 0..<64 {
            let isEmpty = (8..<16).contains(sector) || sector == 40
            #expect(try wire.file.sectors(sector..<sector + 1) == sectors(isEmpty ? 0 : 5), "sector \(sector)")
        }
        let beyond: [UInt8] = [0, 0, 0, 0, 0, 0, 1, 0] + [0xff, 7, 0, 0, 0, 0, 2, 0]
        let request = Request.ata(feature: 1, count: 1, 0x06, data: beyond + padding)
        #expect(try wire.ask(request).isNotFound)
        #expect(try wire.file.sectors(0..<1) == sectors(5))
    }
}

extension String {
    fileprivate var trimmed: String { String(reversed().drop { $0 == " " }.reversed()) }
}
