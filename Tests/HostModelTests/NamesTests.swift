import Foundation
import Testing

@testable import HostModel

@Suite("Names are checked before they reach a path or a command line")
struct NamesTests {
    @Test(
        "A volume name that LVM, a path or a command line would misread is refused",
        arguments: [
            "", ".", "..", ".hidden", "../etc", "a/b", "two words", "-rf", "web$1", "näme", "web1.drbdmd", "snapshot1",
            "pvmove0",
            "web_rimage_0", String(repeating: "x", count: 61), "a\nb", "a;b", "a'b",
        ])
    func illegalVolumeNames(_ text: String) {
        #expect(throws: Failure.self) { try VolumeName(text) }
    }

    @Test(
        "Ordinary volume names pass", arguments: ["web1", "a", "db-root.2", "x_y+z", String(repeating: "x", count: 60)])
    func legalVolumeNames(_ text: String) throws {
        #expect(try VolumeName(text).text == text)
    }

    @Test("A host may be an IPv6 literal, but never an option or a user@host")
    func hosts() throws {
        #expect(try HostName("fd00::1").text == "fd00::1")
        #expect(throws: Failure.self) { try HostName("-oProxyCommand=sh") }
        #expect(throws: Failure.self) { try HostName("root@nodeb") }
    }
}

@Suite("Sizes")
struct ByteCountTests {
    @Test("Sizes parse with binary suffixes", arguments: [("10G", 10 << 30), ("512m", 512 << 20), ("4096", 4096)])
    func parses(_ text: String, _ bytes: Int) {
        #expect(ByteCount(parsing: text)?.bytes == Int64(bytes))
    }

    @Test(
        "Nonsense, zero and overflow are not sizes",
        arguments: ["", "G", "-1G", "0", "1.5G", "9999999999T", "10 G", "1GB"])
    func refuses(_ text: String) {
        #expect(ByteCount(parsing: text) == nil)
    }

    @Test("Sizes print for people")
    func prints() {
        #expect(ByteCount.mebibytes(256).description == "256 MiB")
        #expect(ByteCount.mebibytes(1536).description == "1.5 GiB")
        #expect(ByteCount(100).description == "100 B")
    }
}

@Suite("Values from another host")
struct HostileValueTests {
    private func decode<Value: Decodable>(_ type: Value.Type, _ json: String) throws -> Value {
        try JSONDecoder().decode(type, from: Data(json.utf8))
    }

    @Test("A size below zero or beyond all devices is none, and any size can be printed")
    func sizes() throws {
        for json in [
            "-1", "9223372036854775807", "-9223372036854775808", "1152921504606846977", "1e30", "null", "\"1\"",
        ] {
            #expect(throws: (any Error).self) { try decode(ByteCount.self, json) }
        }
        #expect(try decode(ByteCount.self, "1152921504606846976") == .largestEncoded)
        #expect(ByteCount(.max).description == "8388608 TiB")
        #expect(ByteCount(.min).description == "-8388608 TiB")
        #expect(ByteCount(parsing: "8388607T") == nil)
    }

    @Test("A failure's texts are cut")
    func failure() throws {
        let long = String(repeating: "x", count: 100_000)
        let json = """
            {"code": "failed", "what": "\(long)", "why": "\(long)", "causes": [{"code": "refused", "what": "\(long)", \
            "causes": []}]}
            """
        let failure = try decode(Failure.self, json)
        #expect(failure.what.count == 4096)
        #expect(failure.why?.count == 4096)
        #expect(failure.causes.first?.what.count == 4096)
        let plain = Failure(.busy, "a", host: "h", why: "b", remedy: "c", causes: [Failure(.failed, "d")])
        #expect(try JSONDecoder().decode(Failure.self, from: JSONEncoder().encode(plain)) == plain)
    }

    @Test(
        "A name cannot come in unchecked", arguments: ["../x", "-x", "--config", "a b", "", "a/b", "a\\nb", "\\u0000"])
    func names(_ text: String) {
        #expect(throws: (any Error).self) { try decode(VolumeName.self, "\"\(text)\"") }
        #expect(throws: (any Error).self) { try decode(DomainName.self, "\"\(text)\"") }
        #expect(throws: (any Error).self) { try decode(HostName.self, "\"\(text)\"") }
        #expect(throws: (any Error).self) { try decode(VolumeGroupName.self, "\"\(text)\"") }
    }
}

@Suite("Commands as text")
struct CommandTests {
    @Test("Secrets are not shown and odd arguments are quoted")
    func description() {
        let command = Command(
            .drbdsetup, ["connect", "r", "--shared-secret=abc", "it's"], .mutation, secretArguments: [2])
        #expect(command.description == "drbdsetup connect r [secret] 'it'\\''s'")
    }
}
