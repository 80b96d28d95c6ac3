import Foundation
import HostModel
import SeedKit
import Testing

@testable import ISCSI

@Suite("From any state to any other, through the kernel's rules")
struct ConvergenceTests {
    /// What somebody else has made: a target and a backstore, one on the adapter that xenlvs uses.
    static let foreign: [KernelWrite] = [
        .makeDirectory("core/iblock_0"), .makeDirectory("core/iblock_0/theirs"),
        .write("udev_path=/dev/theirs", to: "core/iblock_0/theirs/control"),
        .write("1", to: "core/iblock_0/theirs/enable"), .makeDirectory(LIO.adapter(3260)),
        .makeDirectory("\(LIO.adapter(3260))/stray"), .makeDirectory("iscsi"), .makeDirectory("iscsi/iqn.theirs"),
        .makeDirectory("iscsi/iqn.theirs/tpgt_1"), .makeDirectory("iscsi/iqn.theirs/tpgt_1/lun/lun_0"),
        .link("iscsi/iqn.theirs/tpgt_1/lun/lun_0/theirs", to: "core/iblock_0/theirs"),
        .makeDirectory("iscsi/iqn.theirs/tpgt_1/np/10.0.0.1:3260"), .write("1", to: "iscsi/iqn.theirs/tpgt_1/enable"),
    ]

    static func isForeign(_ path: String) -> Bool {
        path.hasPrefix("core/iblock_0") || path.hasPrefix("iscsi/iqn.theirs")
            || path.hasPrefix("\(LIO.adapter(3260))/stray")
    }

    static func host(withForeign: Bool) throws -> SimulatedTarget {
        var kernel = SimulatedTarget()
        kernel.blockDevices["/dev/theirs"] = "8:0"
        if withForeign { for write in foreign { try kernel.perform(write) } }
        return kernel
    }

    /// A run takes a second and more, so that their number has a variable of its own.
    @Test("Also when the writes end at any place, and nothing foreign is touched", .timeLimit(.minutes(10)))
    func everyPrefix() throws {
        let environment = ProcessInfo.processInfo.environment
        let runs = environment["XENLVS_ISCSI_RUNS"].flatMap { Int($0) } ?? 30
        let seed = environment["XENLVS_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        var numbers = SeededNumbers(seed: seed)
        for run in 0..<runs {
            let (first, second) = (Sample.state(&numbers), Sample.state(&numbers))
            var kernel = try Self.host(withForeign: Bool.random(using: &numbers))
            let before = kernel.nodes.filter { Self.isForeign($0.key) }
            kernel.provide(first)
            for write in try kernel.difference(to: first, owned: first.ownership).writes { try kernel.perform(write) }
            #expect(try kernel.difference(to: first, owned: first.ownership).isEmpty, "run \(run) of seed \(seed)")

            let owned = first.ownership.union(second.ownership)
            kernel.provide(second)
            for prefix in 0...(try kernel.difference(to: second, owned: owned).writes.count) {
                let end = try Self.cutOff(kernel, after: prefix, to: second, owned)
                #expect(
                    try end.difference(to: second, owned: second.ownership.union(owned)).isEmpty,
                    "run \(run) of seed \(seed), cut off after \(prefix)")
                #expect(end.nodes.filter { Self.isForeign($0.key) } == before)
            }
        }
    }

    /// The state after so many writes, a new look, and all writes that then are left.
    private static func cutOff(
        _ kernel: SimulatedTarget, after prefix: Int, to state: ResolvedState, _ owned: LIOOwnership
    ) throws -> SimulatedTarget {
        var kernel = kernel
        for write in try kernel.difference(to: state, owned: owned).writes.prefix(prefix) { try kernel.perform(write) }
        for write in try kernel.difference(to: state, owned: owned).writes { try kernel.perform(write) }
        return kernel
    }

    @Test("A host that has lost everything comes to the same state")
    func fromNothing() throws {
        var numbers = SeededNumbers(seed: 7)
        for _ in 0..<50 {
            let state = Sample.state(&numbers)
            var kernel = SimulatedTarget()
            kernel.provide(state)
            for write in try kernel.difference(to: state, owned: state.ownership).writes { try kernel.perform(write) }
            #expect(try kernel.difference(to: state, owned: state.ownership).isEmpty)
            let nothing = ResolvedState(exports: [])
            for write in try kernel.difference(to: nothing, owned: state.ownership).writes { try kernel.perform(write) }
            #expect(try LIOSnapshot(reading: kernel).targets.isEmpty)
            #expect(try LIOSnapshot(reading: kernel).devices.isEmpty)
            #expect(try LIOSnapshot(reading: kernel).adapters.isEmpty)
        }
    }

    @Test("An export that stays as it is has no write")
    func unrelatedExportsAreLeftAlone() throws {
        var numbers = SeededNumbers(seed: 11)
        for _ in 0..<100 {
            let unrelated = Sample.export("bystander", on: "bystander", &numbers)
            var (first, second) = (Sample.state(&numbers), Sample.state(&numbers))
            let place = Int.random(in: 0...first.exports.count, using: &numbers)
            first.exports.insert(unrelated, at: place)
            second.exports.append(unrelated)
            var kernel = SimulatedTarget()
            kernel.provide(first)
            for write in try kernel.difference(to: first, owned: first.ownership).writes { try kernel.perform(write) }
            kernel.provide(second)
            let owned = first.ownership.union(second.ownership)
            let writes = try kernel.difference(to: second, owned: owned).writes
            #expect(!writes.contains { $0.path.contains("bystander") }, "\(writes.map(\.description))")
        }
    }
}
