import DiskKit
import Foundation
import Glibc
import Testing

@Suite("Conformance: what clients set", .enabled(if: geteuid() == 0, "network namespaces need root"))
struct SettingsCases {
    private let abc = Array("abc".utf8)

    @Test("Case 29: a reader of the configuration string need not tell its length rightly")
    func readWithLength() throws {
        let wire = try Wire()
        #expect(try wire.ask(.configuration(3, abc)).string == abc)
        #expect(try wire.ask(.configuration(0, [UInt8](repeating: 0xed, count: 1024))).string == abc)
        #expect(try wire.ask(.configuration(0, [], length: 0x400)).string == abc)
    }

    @Test("Cases 30 to 32: set fills an empty string, refuses another one, and bears repetition")
    func set() throws {
        let wire = try Wire()
        let first = try wire.ask(.configuration(3, abc))
        #expect(first.aoeError == nil)
        #expect(first.string == abc)
        #expect(first.bytes[29] == 0x13)
        #expect(try wire.ask(.configuration(3, Array("xyz".utf8))).aoeError == 4)
        #expect(try wire.ask(.configuration(3, abc)).string == abc)
        #expect(try wire.ask(.configuration(0)).string == abc)
    }

    @Test("A configuration string that was set is announced to everybody, and one that stays is not")
    func announced() throws {
        let wire = try Wire()
        while wire.receive(milliseconds: 300) != nil {}
        #expect(try wire.ask(.configuration(3, abc)).string == abc)
        let announcement = try #require(wire.receive())
        #expect(Array(announcement.bytes[0..<6]) == [UInt8](repeating: 0xff, count: 6))
        #expect(announcement.isResponse && announcement.tag == 0 && announcement.string == abc)
        #expect(try wire.ask(.configuration(4, abc)).string == abc)
        #expect(try wire.ask(mask(1, [(1, wire.clientAddress)])).aoeError == nil)
        #expect(wire.receive(milliseconds: 300) == nil)
    }

    @Test("Cases 33 and 34: test and prefix answer only where the string fits")
    func test() throws {
        let wire = try Wire()
        _ = try wire.ask(.configuration(3, abc))
        #expect(try wire.ask(.configuration(1, abc)).string == abc)
        #expect(try wire.isSilent(.configuration(1, Array("ab".utf8))))
        #expect(try wire.ask(.configuration(2, Array("ab".utf8))).string == abc)
        #expect(try wire.isSilent(.configuration(2, Array("b".utf8))))
        #expect(try wire.isSilent(.configuration(2, Array("abcd".utf8))))
    }

    @Test("Cases 35 to 37: a string of 1024 bytes is taken; a longer one, or a wrong length, is error 2")
    func lengths() throws {
        let wire = try Wire()
        let long = (0..<1024).map { UInt8(truncatingIfNeeded: $0) }
        #expect(try wire.ask(.configuration(4, long)).string == long)
        #expect(try wire.ask(.configuration(4, long + [1])).aoeError == 2)
        #expect(try wire.ask(.configuration(4, [1, 2, 3, 4, 5], length: 16)).aoeError == 2)
        #expect(try wire.ask(.configuration(0)).string == long)
        #expect(try wire.ask(.configuration(4)).string.isEmpty)
    }

    @Test("Case 38: an unknown configuration command is error 2")
    func unknown() throws { #expect(try Wire().ask(.configuration(5)).aoeError == 2) }

    @Test("Case 39: four masks added are exactly four masks read")
    func masks() throws {
        let wire = try Wire()
        let all = [wire.clientAddress, Initiator.b, Initiator.c, Initiator.d]
        let reply = try wire.ask(mask(1, all.map { (1, $0) }))
        #expect(reply.aoeError == nil && reply.bytes[26] == 0)
        let read = try wire.ask(mask(0, []))
        #expect(read.bytes[27] == 4)
        #expect(Set((0..<4).map { Array(read.bytes[30 + 8 * $0..<36 + 8 * $0]) }) == Set(all))
        #expect(try wire.ask(mask(1, [(2, Initiator.c)])).bytes[27] == 3)
    }

    @Test("Case 40: a bad directive is told by its place, and none of the edit holds")
    func badDirective() throws {
        let wire = try Wire()
        let reply = try wire.ask(mask(1, [(1, wire.clientAddress), (1, Initiator.b), (9, Initiator.c)]))
        #expect(reply.bytes[26] == 2)
        #expect(reply.bytes[27] == 2)
        #expect(try wire.ask(mask(0, [])).bytes[27] == 0)
    }

    @Test("Cases 41 and 42: a full list is error 3 of the edit; more directives than bytes are error 2")
    func fullList() throws {
        let wire = try Wire()
        func address(_ number: Int) -> [UInt8] { [2, 1, 0, 0, UInt8(number >> 8), UInt8(number & 0xff)] }
        let first = [(UInt8(1), wire.clientAddress)] + (1..<100).map { (UInt8(1), address($0)) }
        #expect(try wire.ask(mask(1, first)).bytes[27] == 100)
        let second = (100..<200).map { (UInt8(1), address($0)) }
        let full = try wire.ask(mask(1, second))
        #expect(full.bytes[26] == 3)
        #expect(full.bytes[27] == 85)
        #expect(try wire.ask(mask(0, [])).bytes[27] == 100)
        var short = mask(1, [(1, Initiator.b)])
        short.argument[3] = 200
        #expect(try wire.ask(short).aoeError == 2)
    }

    @Test("Case 43: who is not in the mask list gets no answer; the same for the operator's list")
    func masked() throws {
        let wire = try Wire()
        _ = try wire.ask(mask(1, [(1, wire.clientAddress)]))
        #expect(try wire.isSilent(Request.read(0, 1).from(Initiator.b)))
        #expect(try wire.isSilent(Request.configuration(0).from(Initiator.b)))
        let listed = try Wire(options: ["--allow", "02:00:00:00:00:0a"])
        #expect(try listed.isSilent(Request.read(0, 1).from(Initiator.b)))
        #expect(try listed.read(0, 1).isGood)
    }

    @Test("Case 44: a reservation keeps others from the sectors until a holder releases it or somebody forces it")
    func reservation() throws {
        let wire = try Wire()
        let identify = Request.ata(count: 1, 0xec)
        #expect(try wire.ask(reserve(1, [wire.clientAddress])).aoeError == nil)
        #expect(try wire.ask(Request.read(0, 1).from(Initiator.b)).aoeError == 6)
        #expect(try wire.ask(Request.write(0, sectors(1)).from(Initiator.b)).aoeError == 6)
        #expect(try wire.ask(identify.from(Initiator.b)).isGood)
        #expect(try wire.ask(reserve(1, [Initiator.b]).from(Initiator.b)).aoeError == 6)
        // Two, the higher one first.
        #expect(try wire.ask(reserve(1, [wire.clientAddress, Initiator.c])).bytes[25] == 2)
        #expect(try wire.ask(Request.read(0, 1).from(Initiator.c)).isGood)
        #expect(try wire.read(0, 1).isGood)
        #expect(try wire.ask(reserve(0, []).from(Initiator.d)).bytes[25] == 2)
        #expect(try wire.ask(reserve(2, [Initiator.b]).from(Initiator.b)).bytes[25] == 1)
        #expect(try wire.read(0, 1).aoeError == 6)
        #expect(try wire.ask(reserve(1, []).from(Initiator.b)).bytes[25] == 0)
        #expect(try wire.read(0, 1).isGood)
    }

    @Test("What clients have set is there again after a kill, in a file of the owner's alone")
    func persistence() throws {
        let wire = try Wire(starts: false)
        let directory = wire.file.path + ".state"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try wire.start(wire.file.path, ["--state", directory])
        _ = try wire.ask(.configuration(3, abc))
        _ = try wire.ask(mask(1, [(1, wire.clientAddress), (1, Initiator.b)]))
        _ = try wire.ask(reserve(1, [wire.clientAddress]))
        wire.kill()
        let facts = try FileManager.default.attributesOfItem(atPath: directory + "/e1.2.json")
        #expect(facts[.posixPermissions] as? Int == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["e1.2.json"])
        try wire.start(wire.file.path, ["--state", directory])
        #expect(try wire.ask(.configuration(0)).string == abc)
        #expect(try wire.ask(mask(0, [])).bytes[27] == 2)
        #expect(try wire.ask(Request.read(0, 1).from(Initiator.b)).aoeError == 6)
        wire.kill()
        try Data("{".utf8).write(to: URL(fileURLWithPath: directory + "/e1.2.json"))
        #expect(try wire.refusal(wire.file.path, ["--state", directory]) == 4)
    }

    private func mask(_ command: UInt8, _ directives: [(UInt8, [UInt8])]) -> Request {
        Request(
            command: 2,
            argument: [0, command, 0, UInt8(directives.count)] + directives.flatMap { [0, $0.0] + $0.1 })
    }

    private func reserve(_ command: UInt8, _ addresses: [[UInt8]]) -> Request {
        Request(command: 3, argument: [command, UInt8(addresses.count)] + addresses.flatMap(\.self))
    }
}
