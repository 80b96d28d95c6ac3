import HostModel
import Replication
import Testing

struct AllocationTests {
    private let ranges = NumberRanges(minors: 0...3, ports: 7800...7803)

    @Test("The lowest numbers that are free are taken, a port only where both hosts have it free")
    func lowest() throws {
        let numbers = try ranges.allocate(
            2, source: NumbersInUse(minors: [0, 2], ports: [7800]), target: NumbersInUse(minors: [1], ports: [7802]))
        #expect(numbers.map(\.sourceMinor) == [1, 3])
        #expect(numbers.map(\.targetMinor) == [0, 2])
        #expect(numbers.map(\.port) == [7801, 7803])
    }

    @Test("Two hosts that migrate to each other at the same moment take different numbers")
    func opposite() throws {
        let none = NumbersInUse()
        let there = try ranges.allocate(2, source: none, target: none, from: .lowest)
        let back = try ranges.allocate(2, source: none, target: none, from: .highest)
        #expect(Set(there.map(\.sourceMinor)).isDisjoint(with: back.map(\.targetMinor)))
        #expect(Set(there.map(\.targetMinor)).isDisjoint(with: back.map(\.sourceMinor)))
        #expect(Set(there.map(\.port)).isDisjoint(with: back.map(\.port)))
        let used = NumbersInUse(minors: [3], ports: [7803])
        #expect(try ranges.allocate(1, source: used, target: none, from: .highest).first?.sourceMinor == 2)
    }

    @Test("Nothing is allocated where a range is used up", arguments: 0..<3)
    func exhausted(which: Int) {
        var source = NumbersInUse()
        var target = NumbersInUse()
        switch which {
        case 0: source.minors = [0, 1, 2, 3]
        case 1: target.minors = [0, 1, 2, 3]
        default: (source.ports, target.ports) = ([7800, 7801], [7802, 7803])
        }
        let failure = #expect(throws: Failure.self) {
            try ranges.allocate(1, source: source, target: target)
        }
        #expect(failure?.code == .refused)
        #expect(failure?.remedy != nil)
    }

    @Test("As many replicas as there are numbers can be had, and no more")
    func all() throws {
        #expect(try ranges.allocate(4, source: NumbersInUse(), target: NumbersInUse()).count == 4)
        #expect(throws: Failure.self) { try ranges.allocate(5, source: NumbersInUse(), target: NumbersInUse()) }
        #expect(try ranges.allocate(0, source: NumbersInUse(), target: NumbersInUse()).isEmpty)
    }

    @Test("Ports are read from the kernel's tables of sockets")
    func procNetTCP() {
        let text = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:1F36 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10007 1 0 100
               1: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 0 00:0 0     0        0 1
            """
        #expect(NumbersInUse.ports(procNetTCP: text) == [7990, 22])
        #expect(NumbersInUse.ports(procNetTCP: "").isEmpty)
    }
}
