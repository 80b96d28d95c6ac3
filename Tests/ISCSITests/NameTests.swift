import HostModel
import Testing

@testable import ISCSI

@Suite("Names, addresses and identities")
struct NameTests {
    @Test(
        "Names of RFC 7143 are taken",
        arguments: [
            "iqn.2001-04.com.example", "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
            "iqn.1993-08.org.debian:01:9f5c6b3d2a1", "eui.02004567a425678d", "naa.52004567ba64678d",
            "naa.62004567ba64678d0123456789abcdef",
        ])
    func goodNames(_ text: String) throws {
        #expect(try ISCSIName(text).text == text)
    }

    @Test(
        "Others are refused, with the rule",
        arguments: [
            ("", "empty"), ("notaniqn", "none of"), ("iqn.2026-11.com.example:a b", "only lower-case"),
            ("iqn.2026-11.com.Example:a", "capital"), ("iqn.2026-13.com.example:a", "year and month"),
            ("iqn.202-11.com.example", "year and month"), ("iqn.2026-11.", "reversed domain"),
            ("iqn.2026-11.com..example:a", "reversed domain"), ("iqn.2026-11.com.example:", "last ':'"),
            ("iqn.2026-11.com.example/../../x", "only lower-case"), ("eui.0200", "16 hexadecimal"),
            ("naa.5200", "16 or 32"), ("iqn.2026-11.com.example:" + String(repeating: "a", count: 223), "longer"),
        ])
    func badNames(_ text: String, _ rule: String) {
        let failure = #expect(throws: Failure.self) { try ISCSIName(text) }
        #expect(failure?.code == .usage && failure?.why?.contains(rule) == true, "\(String(describing: failure))")
    }

    @Test("Every volume has a target's name of its own")
    func standardTargets() throws {
        func name(_ volume: String, _ host: String = "NodeA") throws(Failure) -> String {
            try ISCSIExport.standardTarget(of: VolumeName(unchecked: volume), on: HostName(unchecked: host)).text
        }
        for (volume, rest) in [
            ("web1", "web1"), ("a.b-1", "a.b-1"), ("web_1", "web:-1"), ("Web1", ":web1"), ("a+", "a:."), ("_A", ":-:a"),
        ] {
            #expect(try name(volume) == "iqn.2026-11.invalid.xenlvs.nodea:\(rest)")
        }
        // All names of four of these, and every one different.
        let letters = ["a", "A", "_", "+", "-", "."]
        let pairs = letters.flatMap { first in letters.map { first + $0 } }
        let volumes = pairs.flatMap { first in pairs.map { first + $0 } }
        #expect(try Set(volumes.map { try name($0) }).count == volumes.count)
        let failure = #expect(throws: Failure.self) { try name("web1", "node_a") }
        #expect(failure?.code == .usage && failure?.remedy?.contains("--target-name") == true)
    }

    @Test("An export that takes another's place can be used by the same domains of this host")
    func users() throws {
        var former = Sample.export("web1").export
        (former.domain, former.hasClusterFileSystem) = (DomainName(unchecked: "web1"), true)
        let export = Sample.export("web1", portals: ["10.0.0.2"], readOnly: true).export
        let kept = export.keepingUsers(of: former)
        #expect(kept.domain == former.domain && kept.hasClusterFileSystem == true)
        #expect(kept.isReadOnly && kept.portals == export.portals)
        #expect(export.keepingUsers(of: export) == export)
    }

    @Test(
        "Portals are kept in one spelling",
        arguments: [
            ("10.0.0.1", "10.0.0.1:3260"), ("10.0.0.1:860", "10.0.0.1:860"), ("fd00::1", "[fd00::1]:3260"),
            ("[FD00:0:0::1]:3261", "[fd00::1]:3261"), ("[::]", "[::]:3260"),
        ])
    func portals(_ text: String, _ shown: String) throws {
        #expect(try Portal(text).description == shown)
    }

    @Test(
        "What is no portal is refused",
        arguments: [
            "", "host", "10.0.0.256", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:+1", "[10.0.0.1]:3260",
            "[fd00::1", "[fd00::1]3260", "10.0.0.1/24", "10.0.0.1:3260\n",
        ])
    func badPortals(_ text: String) {
        #expect(throws: Failure.self) { try Portal(text) }
    }

    /// FIPS 180-4's examples, and the borders of a block.
    @Test(
        "The hash function",
        arguments: [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                String(repeating: "a", count: 1000),
                "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"
            ),
        ])
    func hash(_ text: String, _ digest: String) {
        let hexadecimal = SHA256.digest(text.utf8).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }
        #expect(hexadecimal.joined() == digest)
    }

    @Test("An identity follows from the UUIDs, however they are written")
    func identity() throws {
        let group = "AbCdEf-GhIj-KlMn-OpQr-StUv-WxYz-012345"
        let volume = "fedcba-GhIj-KlMn-OpQr-StUv-WxYz-543210"
        let plain = [group, volume].map { $0.replacing("-", with: "") }.joined()
        let identity = DeviceIdentity(groupUUID: group, volumeUUID: volume)
        #expect(try DeviceIdentity(mapping: "LVM-" + plain) == identity)
        #expect(identity.serial.count == 32 && identity.serial.allSatisfy(\.isHexDigit))
        #expect(identity.wwid == "36001405" + identity.serial.prefix(25))
        #expect(DeviceIdentity(groupUUID: volume, volumeUUID: group) != identity)
        // It must never change: initiators know disks by it.
        #expect(DeviceIdentity(groupUUID: "a", volumeUUID: "b").serial == "fb8e20fc2e4c3f248c60c39bd652f3c1")
        for text in ["", "LVM-short", "CRYPT-LUKS2-\(plain)", "LVM-\(plain)-real"] {
            #expect(throws: Failure.self) { try DeviceIdentity(mapping: text) }
        }
    }

    @Test("A LUN is never another device's")
    func luns() throws {
        var ledger = LUNLedger()
        let target = Sample.target("web1")
        #expect(try ledger.lun(of: Sample.identity("a"), on: target) == 1)
        #expect(try ledger.lun(of: Sample.identity("b"), on: target) == 2)
        #expect(try ledger.lun(of: Sample.identity("a"), on: target) == 1)
        #expect(try ledger.lun(of: Sample.identity("a"), on: Sample.target("web2")) == 1)
        #expect(try ledger.lun(of: Sample.identity("b"), on: target, wanted: 7) == 7)
        #expect(try ledger.lun(of: Sample.identity("b"), on: target) == 7)
        #expect(try ledger.lun(of: Sample.identity("c"), on: target) == 8)
        let failure = #expect(throws: Failure.self) { try ledger.lun(of: Sample.identity("c"), on: target, wanted: 1) }
        #expect(failure?.code == .refused)
        _ = try ledger.lun(of: Sample.identity("d"), on: target, wanted: 255)
        #expect(throws: Failure.self) { try ledger.lun(of: Sample.identity("e"), on: target) }
    }
}
