import DiskKit
import Foundation
import Glibc
import Testing

@Suite("Conformance: faults and durability", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct FaultCases {
    @Test("Cases 24 and 25: a flush that cannot be done is an error, and one that can is not", arguments: [0xe7, 0xea])
    func flush(_ command: UInt8) throws {
        let disk = try OvercommittedDisk()
        let wire = try Wire(options: ["--writeback", "--buffered"], serves: disk.device.path)
        #expect(try wire.ask(.ata(count: 0, command)).isGood)
        for number in 0..<64 { #expect(try wire.write(number * 64, sectors(1, 2)).isGood) }
        #expect(try wire.ask(.ata(count: 0, command)).isAborted)
    }

    @Test("Case 47: a durable target answers a write only when the device has it")
    func durable() throws {
        let disk = try OvercommittedDisk()
        let wire = try Wire(options: ["--buffered"], serves: disk.device.path)
        var failures = 0
        for number in 0..<64 where try wire.write(number * 64, sectors(1, 2)).isAborted { failures += 1 }
        // The file system holds 16 pages of them.
        #expect(failures >= 40)
    }

    @Test("Case 47: what was answered is there after the target was killed", arguments: ["--durable", "--writeback"])
    func killed(_ durability: String) throws {
        let wire = try Wire(options: [durability], directory: diskDirectory)
        for number in 0..<32 { #expect(try wire.write(number * 3, sectors(UInt8(number + 1), 0xff)).isGood) }
        wire.kill()
        for number in 0..<32 {
            #expect(try wire.file.sectors(number * 3..<number * 3 + 2) == sectors(UInt8(number + 1), 0xff))
        }
    }

    @Test(
        "Case 27: sectors that cannot be read are the disk's error and not AoE's",
        arguments: ["--direct", "--buffered"])
    func readError(_ cache: String) throws {
        let file = try TestFile(sectors: 65536)
        let device = try LoopDevice(file.path)
        let wire = try Wire(options: [cache], serves: device.path)
        #expect(try wire.read(1600, 2).isGood)
        // The device keeps its size, and what it reads beyond the file's end fails.
        file.truncate(sectors: 2048)
        let reply = try wire.read(60000, 2)
        #expect(reply.versionAndFlags == 0x18)
        #expect(reply.ataError == 0x40)
        #expect(reply.status == 0x41)
        #expect(reply.bytes.count == 60)
        #expect(try wire.read(0, 2).isGood)
    }

    @Test(
        "Case 28: a backing that has become shorter gives errors and no bytes", arguments: ["/dev/shm", diskDirectory])
    func shortRead(_ directory: String) throws {
        let wire = try Wire(directory: directory)
        #expect(try wire.write(1000, sectors(9, 9)).isGood)
        #expect(try wire.read(1000, 2).isGood)
        wire.file.truncate(sectors: 1001)
        #expect(try wire.read(1000, 2).isAborted)
        #expect(try wire.ask(.ata(count: 2, 0x42, 1000)).isAborted)
        #expect(try wire.read(1000, 1).data == sectors(9))
    }

    @Test("Case 52: on a device with sectors of 4096 bytes, one of 512 is written without touching its neighbours")
    func unaligned() throws {
        let file = try TestFile(sectors: 2048)
        try file.put([UInt8](repeating: 7, count: 64 * 512), at: 0)
        let device = try LoopDevice(file.path, sectorSize: 4096)
        let wire = try Wire(options: ["--direct"], serves: device.path)
        #expect(try wire.ask(.ata(count: 1, 0xec)).word(106) == 0x6003)
        #expect(try wire.write(3, sectors(1)).isGood)
        #expect(try wire.write(15, sectors(2, 3)).isGood)
        for sector in 0..<32 {
            let expected: UInt8 = [3: 1, 15: 2, 16: 3][sector] ?? 7
            #expect(try wire.read(sector, 1).data == sectors(expected), "sector \(sector)")
        }
    }

    @Test("Case 45: a write that was sent twice while the target stood still does not undo the one after it")
    func retransmission() throws {
        let wire = try Wire()
        wire.signal(SIGSTOP)
        wire.send(.write(7, sectors(1), tag: 100))
        wire.send(.write(7, sectors(1), tag: 101))
        wire.signal(SIGCONT)
        while try #require(wire.receive()).tag != 101 {}
        #expect(try wire.write(7, sectors(2), tag: 102).isGood)
        #expect(try wire.read(7, 1).data == sectors(2))
        // The network had a third copy.
        #expect(try wire.isSilent(.write(7, sectors(1), tag: 100)))
        #expect(try wire.read(7, 1).data == sectors(2))
    }

    @Test("Case 45: a write that comes again while the disk still has it is answered once, and does not undo the next")
    func retransmissionUnderWay() throws {
        let (wire, disk) = try Wire.withFreezableDisk()
        defer {
            // What hangs cannot end.
            try? disk.thaw()
            wire.kill()
        }
        try wire.begin(.write(7, sectors(1), tag: 100), on: disk)
        // The network's copy, and the initiator's own.
        wire.send(.write(7, sectors(1), tag: 100))
        wire.send(.write(7, sectors(1), tag: 101))
        _ = try wire.ask(.configuration(0))
        try disk.thaw()
        var answered: [UInt32] = []
        while answered.count < 2 {
            let reply = try #require(wire.receive())
            if reply.tag == 100 || reply.tag == 101 { answered.append(reply.tag) }
        }
        #expect(answered == [100, 101])
        #expect(try wire.write(7, sectors(2), tag: 102).isGood)
        #expect(try wire.isSilent(.write(7, sectors(1), tag: 100)))
        #expect(try wire.read(7, 1).data == sectors(2))
    }

    @Test("Case 46: the same frame again is answered and does not undo a later write")
    func duplicate() throws {
        let wire = try Wire()
        #expect(try wire.write(7, sectors(1), tag: 100).isGood)
        #expect(try wire.write(7, sectors(1), tag: 100).isGood)
        #expect(try wire.write(7, sectors(2), tag: 101).isGood)
        #expect(try wire.isSilent(.write(7, sectors(1), tag: 100)))
        #expect(try wire.read(7, 1).data == sectors(2))
        #expect(try wire.write(7, sectors(1), tag: 102).isGood)
        #expect(try wire.read(7, 1).data == sectors(1))
    }

    @Test("SIGTERM brings what is under way to its end: what was written is answered, and nothing else")
    func termination() throws {
        let wire = try Wire(directory: diskDirectory)
        for number in 0..<300 { wire.send(.write(number * 2, sectors(3, 4), tag: UInt32(number + 1))) }
        var answered: Set<UInt32> = []
        while answered.isEmpty { answered.formUnion(try #require(wire.receive()).writeTags) }
        #expect(try wire.terminate() == 0)
        while let reply = wire.receive(milliseconds: 50) { answered.formUnion(reply.writeTags) }
        for tag in 1...UInt32(300) {
            let isWritten = try wire.file.sectors(Int(tag - 1) * 2..<Int(tag) * 2) == sectors(3, 4)
            #expect(isWritten == answered.contains(tag), "write \(tag)")
        }
    }
}

extension Reply {
    /// The tag of an answered write.
    fileprivate var writeTags: Set<UInt32> { isResponse && bytes[19] == 0 && isGood ? [tag] : [] }
}
