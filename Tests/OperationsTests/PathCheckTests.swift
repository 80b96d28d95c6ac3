import Glibc
import ISCSI
import Testing

@testable import Operations

@Suite("What a look at a path says")
struct PathCheckTests {
    /// NAA 6 with the company's number of the kernel's target, and this last byte.
    private func page(_ last: UInt8) -> [UInt8] {
        let designator: [UInt8] = [0x60, 1, 0x40, 0x50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
        return [0, 0x83, 0, 20, 1, 3, 0, 16] + designator
    }

    private let wwid = "360014050000000000000000000000001"

    @Test("A LUN that leads to another disk now is seen, and so is one that says nothing of use")
    func identity() {
        #expect(PathCheck.objection(to: page(1), wwid: wwid) == nil)
        #expect(PathCheck.objection(to: page(2), wwid: wwid)?.contains("another disk now, with WWID 36001405") == true)
        for broken in [[], Array(page(1).dropLast()), [0, 0x80, 0, 0], [0, 0x83, 0, 0]] as [[UInt8]] {
            #expect(PathCheck.objection(to: broken, wwid: wwid) != nil, "\(broken)")
        }
    }

    @Test("What the kernel's target says under a long name is asked for whole")
    func longNames() {
        // The designators of its NAA number, of its serial number, and twice of a name with 223 characters.
        let name = [UInt8](repeating: UInt8(ascii: "a"), count: 236)
        let page = page(1)
        let long =
            [0, 0x83, 2, 0] + page[4...] + [0x53, 0x98, 0, 236] + name + [0x53, 0xa8, 0, 236] + name
            + [UInt8](repeating: 0, count: 12)
        #expect(long.count == 4 + 512)
        #expect(PathCheck.objection(to: long, wwid: wwid) == nil)
        #expect(SCSIPage.identificationLength >= long.count)
        #expect(Int(PathCheck.inquiry[3]) << 8 | Int(PathCheck.inquiry[4]) == SCSIPage.identificationLength)
    }

    @Test("A disk is good where it is ready, and where it only has something to tell")
    func readiness() {
        func sense(_ key: UInt8, _ code: UInt8, _ qualifier: UInt8) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 32)
            (bytes[0], bytes[2], bytes[12], bytes[13]) = (0x70, key, code, qualifier)
            return bytes
        }
        func words(_ outcome: SCSIOutcome) -> String? {
            if case .bad(let why) = PathCheck.readiness(outcome) { return why }
            return nil
        }
        #expect(words(SCSIOutcome()) == nil)
        // REPORTED LUNS DATA HAS CHANGED, and that it has another size.
        #expect(words(SCSIOutcome(status: 2, sense: sense(6, 0x3f, 0x0e))) == nil)
        #expect(words(SCSIOutcome(status: 2, sense: sense(6, 0x2a, 9))) == nil)
        // LOGICAL UNIT NOT SUPPORTED, as where it was taken away.
        #expect(words(SCSIOutcome(status: 2, sense: sense(5, 0x25, 0)))?.contains("sense 5/37/0") == true)
        #expect(words(SCSIOutcome(status: 24))?.contains("status 24") == true)
        #expect(words(SCSIOutcome(hostStatus: 3, milliseconds: 5000))?.contains("within 5 s") == true)
        #expect(words(SCSIOutcome(hostStatus: 1))?.contains("host status 1") == true)
        #expect(words(SCSIOutcome(error: ENXIO))?.contains("cannot be asked") == true)
        // Too short to say anything.
        #expect(words(SCSIOutcome(status: 2, sense: [0x70, 0, 6]))?.contains("not ready (status 2)") == true)
    }
}
