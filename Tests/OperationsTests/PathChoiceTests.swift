import HostModel
import Testing

@testable import Operations

@Suite("Which disks a map is made of")
struct PathChoiceTests {
    private func disk(_ name: String, _ megabytes: Int64, _ state: String = "running") -> SCSIDisk {
        SCSIDisk(name: name, lun: 1, state: state, number: nil, size: .mebibytes(megabytes), wwid: "3600")
    }

    /// `96: sda - sdb`: the map's size in MiB, its disks, and those that are left out.
    private func choice(_ disks: [SCSIDisk], known: Int64? = nil, map: Int64? = nil) -> String? {
        guard
            let choice = PathChoice(
                of: disks, known: known.map(ByteCount.mebibytes), map: map.map(ByteCount.mebibytes))
        else { return nil }
        func names(_ disks: [SCSIDisk]) -> String { disks.map { " \($0.name)" }.joined() }
        return "\(choice.size.bytes >> 20):\(names(choice.disks)) -\(names(choice.leftOut))"
    }

    @Test("A map is made of disks of one size; what is down and has another is left out")
    func made() {
        #expect(choice([disk("sda", 64), disk("sdb", 64, "blocked")]) == "64: sda sdb -")
        #expect(choice([disk("sda", 96), disk("sdb", 64, "transport-offline")]) == "96: sda - sdb")
        #expect(choice([disk("sda", 96, "transport-offline"), disk("sdb", 64)]) == "64: sdb - sda")
        #expect(choice([disk("sda", 96), disk("sdb", 64)]) == nil)
        #expect(choice([disk("sda", 96, "offline"), disk("sdb", 64, "offline")]) == nil)
        #expect(choice([disk("sda", 0)]) == nil && choice([]) == nil)
    }

    @Test("It grows when every disk that is up has grown, and never shrinks")
    func grows() {
        #expect(choice([disk("sda", 96), disk("sdb", 64)], map: 64) == "64: sda sdb -")
        #expect(choice([disk("sda", 96), disk("sdb", 96)], map: 64) == "96: sda sdb -")
        #expect(choice([disk("sda", 96), disk("sdb", 64, "transport-offline")], map: 64) == "96: sda - sdb")
        // Back, but the kernel has not asked it again yet.
        #expect(choice([disk("sda", 96), disk("sdb", 64)], map: 96) == "96: sda - sdb")
        #expect(choice([disk("sda", 64, "offline"), disk("sdb", 64, "offline")], map: 64) == "64: sda sdb -")
        #expect(choice([disk("sda", 32), disk("sdb", 32)], map: 64) == nil)
    }

    @Test("Where the size is recorded nothing else is used")
    func recorded() {
        #expect(choice([disk("sda", 96), disk("sdb", 64)], known: 96, map: 64) == "96: sda - sdb")
        #expect(choice([disk("sda", 96), disk("sdb", 64)], known: 64) == "64: sdb - sda")
        #expect(choice([disk("sda", 64)], known: 96) == nil)
    }
}
