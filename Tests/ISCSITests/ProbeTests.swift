import HostModel
import SeedKit
import Testing

@testable import ISCSI

/// Pages as LIO 6.1 gives them, and what a hostile target could give.
enum Pages {
    static let naa: [UInt8] = [
        0x60, 0x01, 0x40, 0x50, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34, 0x56, 0x78,
    ]
    static let vendor: [UInt8] = [2, 1, 0, 12] + Array("LIO-ORG vol1".utf8)
    /// The target's port, which must not be taken for the disk.
    static let port: [UInt8] = [0x51, 0x94, 0, 4, 0, 0, 0, 1]

    static func page(_ code: UInt8, _ body: [UInt8]) -> [UInt8] {
        [0, code, UInt8(body.count >> 8), UInt8(body.count & 0xff)] + body
    }

    static func identification(_ naa: [UInt8] = naa) -> [UInt8] {
        page(0x83, [1, 3, 0, UInt8(naa.count)] + naa + vendor + port)
    }

    /// 64 MiB in blocks of 512 bytes.
    static let capacity: [UInt8] = [0, 0, 0, 0, 0, 1, 255, 255, 0, 0, 2, 0] + [UInt8](repeating: 0, count: 20)

    static func unit(_ lun: Int = 1) -> ProbedUnit {
        ProbedUnit(
            lun: lun, identification: identification(), serial: page(0x80, Array("  ab12 ".utf8)), capacity: capacity)
    }
}

@Suite("What a target says before it is used")
struct ProbeTests {
    private let request = ProbeRequest(
        target: Sample.target("web1"), portal: try! Portal("10.0.0.1"), initiator: Sample.initiator)

    @Test("A disk is known by its pages")
    func identity() throws {
        let identity = try DiskIdentity(Pages.unit())
        #expect(identity.wwid == "360014050123456789abcdef012345678" && identity.serial == "ab12")
        #expect(identity.size == .mebibytes(64))
        var plain = Pages.unit()
        plain.serial = []
        #expect(try DiskIdentity(plain).serial.isEmpty)
        // The same rule as the exports' own: one identity, seen from both sides.
        let exported = Sample.identity("a")
        let digits = Array(exported.wwid.dropFirst())
        let bytes = stride(from: 0, to: 32, by: 2).map { UInt8(String(digits[$0...($0 + 1)]), radix: 16)! }
        #expect(try SCSIPage.wwid(identification: Pages.identification(bytes)) == exported.wwid)
    }

    @Test("The longer and the more binding designator wins, whatever the order")
    func preference() throws {
        let five: [UInt8] = [1, 3, 0, 8, 0x50, 0x01, 0x40, 0x51, 1, 2, 3, 4]
        let six = [1, 3, 0, 16] + Pages.naa
        let eui: [UInt8] = [1, 2, 0, 8, 0, 0x14, 0x05, 1, 2, 3, 4, 5]
        for body in [five + six + eui, eui + six + five, six + eui + five] {
            #expect(try SCSIPage.wwid(identification: Pages.page(0x83, body)).hasPrefix("36001405"))
        }
        #expect(try SCSIPage.wwid(identification: Pages.page(0x83, eui + five)) == "35001405101020304")
        #expect(try SCSIPage.wwid(identification: Pages.page(0x83, eui)) == "20014050102030405")
    }

    @Test("What does not tell two disks apart is no identity")
    func notUnique() throws {
        // tgt's default: the first disk of every host.
        let ofEveryHost: [UInt8] = [0x60, 0, 0, 0, 0, 0, 0, 0, 0x0e, 0, 0, 0, 0, 1, 0, 1]
        for body in [
            [], Pages.vendor, Pages.port, [1, 3, 0, 16] + ofEveryHost, [1, 3, 0, 8, 0x30, 0, 0, 2, 0, 0, 0, 1],
        ] {
            let failure = #expect(throws: Failure.self) {
                try SCSIPage.wwid(identification: Pages.page(0x83, body))
            }
            #expect(failure?.code == .refused && failure?.why?.contains("0x83") == true)
        }
    }

    @Test("What is cut off, too long or damaged has a defined answer", arguments: 0..<4)
    func damaged(seed: UInt64) {
        var numbers = SeededNumbers(seed: seed)
        let page = Pages.identification()
        for count in 0..<page.count {
            #expect(throws: Failure.self) { try SCSIPage.wwid(identification: Array(page[..<count])) }
        }
        let units: [UInt8] = [0, 0, 0, 16, 0, 0, 0, 0] + [0, 1, 0, 0, 0, 0, 0, 0] + [0x41, 2, 0, 0, 0, 0, 0, 0]
        #expect((try? SCSIPage.units(reported: units)) == [1])
        for _ in 0..<5000 {
            var (page, capacity, list) = (page, Pages.capacity, units)
            for _ in 0..<Int.random(in: 1...4, using: &numbers) {
                page[Int.random(in: page.indices, using: &numbers)] = .random(in: 0...255, using: &numbers)
                capacity[Int.random(in: 0..<12, using: &numbers)] = .random(in: 0...255, using: &numbers)
                list[Int.random(in: list.indices, using: &numbers)] = .random(in: 0...255, using: &numbers)
            }
            if let wwid = try? SCSIPage.wwid(identification: page) {
                #expect(wwid.utf8.count <= 33 && wwid.isPlain(""))
            }
            if let size = try? SCSIPage.capacity(capacity) { #expect(size.bytes > 0 && size.bytes % 512 == 0) }
            if let luns = try? SCSIPage.units(reported: list) {
                #expect(luns.count <= 2 && luns.allSatisfy { $0 < 256 })
            }
        }
    }

    @Test("Impossible sizes are refused")
    func sizes() {
        for (last, block) in [(UInt64.max, 512), (1 << 62, 512), (10, 0), (10, 513), (10, 1 << 20)] {
            let bytes = (0..<8).map { UInt8(truncatingIfNeeded: last >> (56 - 8 * $0)) }
            let length = (0..<4).map { UInt8(truncatingIfNeeded: block >> (24 - 8 * $0)) }
            #expect(throws: Failure.self) { try SCSIPage.capacity(bytes + length) }
        }
    }

    @Test("Which disk is meant")
    func choice() throws {
        let offers = [
            ProbedOffer(target: "iqn.2026-11.invalid.xenlvs.nodea:web1", portal: "10.0.0.9:3260,7"),
            ProbedOffer(target: "iqn.2026-11.invalid.xenlvs.nodea:web1", portal: "10.0.0.1:3260,3"),
            ProbedOffer(target: "junk\u{1b}[2J", portal: "junk"),
        ]
        let disk = try ProbeAnswer(offers: offers, units: [Pages.unit(4)]).disk(request, lun: nil)
        #expect(disk.groupTag == 3 && disk.lun == 4)
        #expect(try ProbeAnswer(units: [Pages.unit(4)]).disk(request, lun: nil).groupTag == 1)
        let two = ProbeAnswer(units: [Pages.unit(1), Pages.unit(2)])
        #expect(try two.disk(request, lun: 2).lun == 2)
        for (answer, lun, code) in [
            (two, nil, Failure.Code.refused), (two, 3, .notFound), (ProbeAnswer(units: []), nil, .notFound),
        ] as [(ProbeAnswer, Int?, Failure.Code)] {
            let failure = #expect(throws: Failure.self) { try answer.disk(request, lun: lun) }
            #expect(failure?.code == code && failure?.remedy != nil)
        }
    }

    @Test("Each trouble has a reason and a remedy, and no text of the network steers a terminal")
    func troubles() throws {
        let hostile = "\u{1b}]0;x\u{7}" + String(repeating: "x", count: 5000)
        var withFile = request
        withFile.chapFile = "/etc/xenlvs/web.chap"
        let cases: [(ProbeTrouble, Failure.Code, String)] = [
            (.unreachable(hostile), .unreachable, "cannot be reached"), (.silent(hostile), .unreachable, "no answer"),
            (.failed(hostile), .failed, "xxx"), (.refused(status: 0x201), .refused, "/etc/xenlvs/web.chap"),
            (.refused(status: 0x202), .refused, Sample.initiator.text),
            (.refused(status: 0x203), .notFound, "iqn.2026-11.invalid.xenlvs.nodea:other"),
            (.refused(status: 0x301), .notFound, "iqn.2026-11.invalid.xenlvs.nodea:other"),
            (.refused(status: 0x302), .refused, "0x0302"),
        ]
        let offers = [
            ProbedOffer(target: Sample.target("other").text, portal: "10.0.0.1:3260,1"),
            ProbedOffer(target: hostile, portal: hostile),
        ]
        for (trouble, code, word) in cases {
            let answer = ProbeAnswer(offers: offers, trouble: trouble)
            let failure = #expect(throws: Failure.self) { try answer.disk(withFile, lun: nil) }
            #expect(failure?.code == code, "\(trouble)")
            let text = failure?.description ?? ""
            #expect(text.contains(word) && text.contains("10.0.0.1:3260") && failure?.remedy != nil, "\(text)")
            #expect(!text.contains("\u{1b}") && text.utf8.count < 1500)
        }
    }
}
