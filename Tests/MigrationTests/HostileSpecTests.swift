import Foundation
import HostModel
import Storage
import Testing

@testable import Migration

@Suite("A migration as another host describes it")
struct HostileSpecTests {
    private static let spec = """
        {"id":"web1-20261121-0001","domain":"web1","uuid":"4a3e907b-f9a3-4c66-89f7-449cc6af31c5","memory":100663296,\
        "source":{"name":"nodea","address":"192.0.2.1"},"target":{"name":"nodeb","address":"2001:db8::2"},\
        "plan":{"settlement":"late","comparesCopies":false},"verifies":false,"removesSource":false,"volumes":[VOLUME]}
        """
    private static let volume = """
        {"name":"web1","device":"xvda","size":67108864,"sourcePlace":{"logicalVolume":{"group":"vg0","name":"web1"}},\
        "targetPlace":{"file":{"pool":"/srv/pool"}},"sourceMinor":3,"targetMinor":7,"port":7800}
        """

    private func decode(_ json: String) throws -> MigrationSpec {
        try JSONDecoder().decode(MigrationSpec.self, from: Data(json.utf8))
    }

    @Test("An ordinary one is read, and comes out as it went in")
    func ordinary() throws {
        let spec = try decode(Self.spec.replacing("VOLUME", with: Self.volume))
        #expect(try JSONDecoder().decode(MigrationSpec.self, from: JSONEncoder().encode(spec)) == spec)
    }

    @Test(
        "What no migration can be is refused",
        arguments: [
            ("web1-20261121-0001", "../x"), ("web1-20261121-0001", "-x"),
            (#""domain":"web1""#, #""domain":"--config""#),
            ("4a3e907b-f9a3-4c66-89f7-449cc6af31c5", "4a3e907b"), ("100663296", "0"), ("100663296", "-1"),
            ("100663296", "1125899906842624"), ("192.0.2.1", "nodea.example"), ("192.0.2.1", "192.0.2.1 --x"),
            ("192.0.2.1", "fe80::1%eth0"), ("192.0.2.1", ""), ("xvda", "../x"), ("xvda", "xvda\u{20DD}"), ("xvda", ""),
            ("67108864", "0"), ("67108864", "513"), ("67108864", "1152921504606846976"), ("67108864", "-512"),
            (#""group":"vg0","name":"web1""#, #""group":"vg0","name":"db""#), (#""group":"vg0""#, #""group":"-vg""#),
            ("/srv/pool", "/srv/../etc"), ("/srv/pool", "srv"), ("/srv/pool", #"/srv/\npool"#), ("/srv/pool", "//srv"),
            (#""sourceMinor":3"#, #""sourceMinor":-1"#), (#""targetMinor":7"#, #""targetMinor":1048576"#),
            ("7800", "0"), ("7800", "65536"), ("7800", "9223372036854775807"), (#"[VOLUME]"#, "[]"),
            ("[VOLUME]", "[VOLUME,VOLUME]"), ("late", "never"),
            (#""settlement":"late""#, #""settlement":"late","method":"one-freeze""#),
            (#""settlement":"late""#, #""settlement":"early","method":"one-freeze""#),
            (#""settlement":"late""#, #""settlement":"late","method":"none""#),
            (#""verifies":false"#, #""verifies":false,"bandwidth":0"#),
            (#""verifies":false"#, #""verifies":false,"bandwidth":-1"#),
        ])
    func refused(_ part: String, _ hostile: String) throws {
        let json = Self.spec.replacing("VOLUME", with: "VOLUME").replacing(part, with: hostile)
            .replacing("VOLUME", with: Self.volume).replacing(part, with: hostile)
        #expect(json != Self.spec.replacing("VOLUME", with: Self.volume))
        #expect(throws: (any Error).self) { try decode(json) }
    }

    @Test("More volumes than a guest can have are refused")
    func many() throws {
        let volumes = (0..<200).map { number in
            Self.volume.replacing(#""name":"web1""#, with: #""name":"v\#(number)""#)
                .replacing("xvda", with: "xvd\(number)").replacing("7800", with: "\(7800 + number)")
                .replacing(#"Minor":3"#, with: "Minor\":\(number)").replacing(#"Minor":7"#, with: "Minor\":\(number)")
        }
        let few = try decode(Self.spec.replacing("VOLUME", with: volumes.prefix(100).joined(separator: ",")))
        #expect(few.volumes.count == 100)
        #expect(throws: Failure.self) {
            try decode(Self.spec.replacing("VOLUME", with: volumes.joined(separator: ",")))
        }
    }

    @Test(
        "An event that would make a report's sums overflow is refused, and a long text is cut",
        arguments: [
            (0, 5, 7), (-1, 5, 7), (1, -1, 7), (1, Int64.max, 7), (1, 5, -1), (1, 5, Int64.max), (1 << 40, 5, 7),
        ] as [(Int, Int64, Int64)])
    func event(_ sequence: Int, _ time: Int64, _ milliseconds: Int64) throws {
        let event = MigrationEvent(
            sequence: sequence, time: time, kind: .accounted(total: milliseconds, own: milliseconds))
        let json = try JSONEncoder().encode(event)
        #expect(throws: Failure.self) { try JSONDecoder().decode(MigrationEvent.self, from: json) }
        let note = MigrationEvent(sequence: 1, time: 5, kind: .note(String(repeating: "x", count: 10_000)))
        let read = try JSONDecoder().decode(MigrationEvent.self, from: JSONEncoder().encode(note))
        #expect(read.kind == .note(String(repeating: "x", count: 4096)))
    }
}
