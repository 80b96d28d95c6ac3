import Glibc
import Testing

/// The conformance cases, by their numbers in docs/aoe.md. The target is e1.2, the MTU 1500 unless a case says other.
@Suite("Conformance: addressing and headers", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct AddressingCases {
    @Test("Case 1: a wildcard query to everybody is answered with the real address, buffers, sectors and string")
    func wildcard() throws {
        let wire = try Wire()
        var request = Request.configuration(0)
        (request.shelf, request.slot) = (0xffff, 0xff)
        let reply = try wire.ask(request)
        #expect(Array(reply.bytes[0..<6]) == wire.clientAddress)
        #expect(Array(reply.bytes[12..<16]) == [0x88, 0xa2, 0x18, 0])
        #expect(reply.address == [0, 1, 2])
        #expect(reply.bufferCount >= 2)
        #expect(reply.sectors == 2)
        #expect(reply.bytes[29] == 0x10)
        #expect(reply.string.isEmpty)
    }

    @Test("Cases 2 to 4: shelf and slot are wildcards independently, and another slot is not ours")
    func partialWildcards() throws {
        let wire = try Wire()
        var request = Request.configuration(0)
        (request.shelf, request.slot) = (1, 0xff)
        #expect(try wire.ask(request).address == [0, 1, 2])
        (request.shelf, request.slot) = (0xffff, 2)
        #expect(try wire.ask(request).address == [0, 1, 2])
        (request.shelf, request.slot) = (1, 3)
        #expect(try wire.isSilent(request))
        (request.shelf, request.slot) = (2, 2)
        #expect(try wire.isSilent(request))
    }

    @Test("Case 5: a frame that is itself a response is not answered")
    func response() throws {
        var request = Request.configuration(0)
        request.versionAndFlags = 0x18
        #expect(try Wire().isSilent(request))
    }

    @Test("Case 6: another version of the protocol is error 5, in ours")
    func version() throws {
        var request = Request.configuration(0)
        request.versionAndFlags = 0x20
        let reply = try Wire().ask(request)
        #expect(reply.aoeError == 5)
        #expect(reply.bytes.count == 60)
        #expect(reply.bytes[24...].allSatisfy { $0 == 0 })
    }

    @Test("Cases 7 and 8: an unknown command is error 1", arguments: [4, 0xf0] as [UInt8])
    func unknownCommand(_ command: UInt8) throws {
        let reply = try Wire().ask(Request(command: command, argument: [UInt8](repeating: 0xaa, count: 40)))
        #expect(reply.aoeError == 1)
        #expect(reply.bytes.count == 60)
    }

    @Test("Frames for another host, and frames of a VLAN, are not answered")
    func foreignFrames() throws {
        let wire = try Wire()
        var other = Request.configuration(0)
        other.destination = [2, 0, 0, 0, 0, 0x77]
        #expect(try wire.isSilent(other))
        var tagged = Request.configuration(0)
        tagged.vlan = [0x81, 0, 0, 5]
        #expect(try wire.isSilent(tagged))
        // Priority without a VLAN.
        tagged.vlan = [0x81, 0, 0xe0, 0]
        #expect(try wire.ask(tagged).address == [0, 1, 2])
        var own = Request.configuration(0)
        own.destination = try wire.ask(own).source
        #expect(try wire.ask(own).address == [0, 1, 2])
    }

    @Test("Frames that are too short for their command are passed over")
    func short() throws {
        let wire = try Wire()
        for (command, length) in [(0, 11), (1, 7), (2, 3), (3, 1)] as [(UInt8, Int)] {
            #expect(
                try wire.isSilent(Request(command: command, argument: [UInt8](repeating: 0, count: length))),
                "command \(command)")
        }
    }

    @Test("Case 48: every reply has at least 60 bytes, filled up with zeros")
    func padding() throws {
        let wire = try Wire()
        // Fills the place where the next replies are made.
        _ = try wire.ask(.ata(count: 1, 0xec, 0xffff_ffff_ffff))
        let good = try wire.ask(.ata(count: 0, 0xe5))
        #expect(good.bytes.count == 60 && good.bytes[36...].allSatisfy { $0 == 0 })
        let configuration = try wire.ask(.configuration(0))
        #expect(configuration.bytes.count == 60 && configuration.bytes[32...].allSatisfy { $0 == 0 })
        let bad = try wire.ask(Request(command: 9, argument: []))
        #expect(bad.bytes.count == 60 && bad.bytes[24...].allSatisfy { $0 == 0 })
        let masks = try wire.ask(Request(command: 2, argument: [0, 0, 0, 0]))
        #expect(masks.bytes.count == 60 && masks.bytes[28...].allSatisfy { $0 == 0 })
    }

    @Test("Case 50: a target announces itself at its start to everybody, with tag 0")
    func announcement() throws {
        let wire = try Wire()
        let advertisement = try #require(wire.receive())
        // The question whether the address is free comes before.
        let frame = advertisement.isResponse ? advertisement : try self.response(on: wire)
        #expect(Array(frame.bytes[0..<6]) == [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
        #expect(frame.versionAndFlags == 0x18)
        #expect(frame.tag == 0)
        #expect(frame.address == [0, 1, 2])
        #expect(frame.sectors == 2)
    }

    @Test("Case 49: another MTU is announced with the sectors that fit now")
    func changedMTU() throws {
        let wire = try Wire()
        #expect(try wire.ask(.configuration(0)).sectors == 2)
        try wire.ip("link", "set", wire.targetInterface, "mtu", "9000")
        let announced = try response(on: wire)
        #expect(announced.tag == 0)
        #expect(announced.sectors == 16)
        #expect(try wire.ask(.read(0, 16)).data.count == 16 * 512)
    }

    @Test("Case 53: at an MTU of 9000 requests keep to whole blocks: 16 sectors")
    func jumbo() throws {
        let wire = try Wire(mtu: 9000)
        #expect(try wire.ask(.configuration(0)).sectors == 16)
        #expect(try wire.ask(.read(0, 17)).isAborted)
        let bytes = (0..<16 * 512).map { UInt8(truncatingIfNeeded: $0 / 7) }
        #expect(try wire.write(8, bytes).isGood)
        #expect(try wire.read(8, 16).data == bytes)
    }

    @Test("Case 51: an interface that goes down with a write under way and comes back serves on, the write as well")
    func downAndUp() throws {
        let (wire, disk) = try Wire.withFreezableDisk()
        defer {
            // What hangs cannot end.
            try? disk.thaw()
            wire.kill()
        }
        try wire.begin(.write(1, sectors(5), tag: 100), on: disk)
        try wire.ip("link", "set", wire.targetInterface, "down")
        usleep(50000)
        // The answer finds no way.
        try disk.thaw()
        #expect(wire.receive(milliseconds: 300) == nil)
        try wire.ip("link", "set", wire.targetInterface, "up")
        #expect(try response(on: wire).tag == 0)
        #expect(try wire.write(1, sectors(5), tag: 100).isGood)
        #expect(try wire.read(1, 1).data == sectors(5))
    }

    /// The next frame that is a response.
    private func response(on wire: Wire) throws -> Reply {
        while true {
            let reply = try #require(wire.receive())
            if reply.isResponse { return reply }
        }
    }
}
