import Foundation
import HostModel
import Storage
import Testing

@testable import Operations

@Suite("A copy below a running guest")
struct CopyTests {
    @Test("Regions are half a mebibyte until the log would have too many")
    func regions() {
        #expect(CopyWindow(size: .mebibytes(32)).region == .kibibytes(512))
        #expect(CopyWindow(size: .gibibytes(128)).region == .kibibytes(512))
        #expect(CopyWindow(size: .gibibytes(129)).region == .mebibytes(1))
        #expect(CopyWindow(size: ByteCount(16 << 40)).region == .mebibytes(64))
        for size in [ByteCount(512), .mebibytes(32), .gibibytes(100), ByteCount(1 << 50)] {
            let plan = CopyWindow(size: size)
            #expect(plan.logSize.bytes * 8 >= size.bytes / plan.region.bytes + 1024 * 8, "\(size)")
        }
    }

    @Test("Without a limit everything is in the mirror at once")
    func unlimited() {
        let plan = CopyWindow(size: .gibibytes(1))
        #expect(plan.next(after: ByteCount(0)) == .gibibytes(1))
        #expect(plan.next(after: .gibibytes(1)) == nil)
        #expect(plan.pause(from: ByteCount(0), to: .gibibytes(1)) == .zero)
    }

    @Test(
        "With a limit the windows and their pauses keep it",
        arguments: [ByteCount(1), .kibibytes(100), .mebibytes(1), ByteCount(10_000_001), .gibibytes(3)])
    func limited(_ limit: ByteCount) {
        let plan = CopyWindow(size: ByteCount(64 << 20 | 512), limit: limit)
        var (window, time, count) = (ByteCount(0), Duration.zero, 0)
        while let next = plan.next(after: window) {
            #expect(next > window && (next == plan.size || next.bytes % plan.region.bytes == 0))
            time += plan.pause(from: window, to: next)
            (window, count) = (next, count + 1)
        }
        #expect(window == plan.size && count <= 200)
        #expect(time >= .milliseconds(plan.size.bytes * 1000 / limit.bytes - Int64(count)))
    }

    @Test("The last region may be cut short")
    func copied() {
        let plan = CopyWindow(size: .kibibytes(700))
        #expect(plan.copied(synced: 1, of: plan.size) == .kibibytes(512))
        #expect(plan.copied(synced: 2, of: plan.size) == .kibibytes(700))
    }

    @Test(
        "Places are read as they are typed",
        arguments: [
            ("volume", SwapTarget.volume), ("replica", .replica), ("vg:vg1", .group(VolumeGroupName(unchecked: "vg1"))),
            ("device:data1", .device(VolumeName(unchecked: "data1"))),
        ])
    func targets(_ text: String, _ expected: SwapTarget) throws {
        let target = try SwapTarget(parsing: text)
        #expect(target == expected)
        let place = target.place(of: VolumeName(unchecked: "web1"))
        if let place { #expect(SwapTarget.argument(place) == text) }
        #expect((place == nil) == (text == "volume" || text == "replica"))
    }

    @Test(
        "What is no place is refused",
        arguments: ["", "vg", "vg:", "device:", "device:a/b", "volume:x", "lv:vg1", "VG:vg1", "vg:vg1/web2"])
    func badTargets(_ text: String) {
        let failure = #expect(throws: Failure.self) { try SwapTarget(parsing: text) }
        #expect(failure?.code == .usage)
    }
}

@Suite("The comparison of two sides of a mirror")
struct LegComparisonTests {
    private static let size = (3 << 20) + 4096 + 512

    private func withFiles(_ body: (LegComparison) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "legs-\(UUID())")
        defer { try? FileManager.default.removeItem(at: directory) }
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let bytes = Data((0..<Self.size).map { UInt8(truncatingIfNeeded: $0 / 7) })
        let paths = ["a", "b"].map { directory.appending(path: $0).path }
        for path in paths { try bytes.write(to: URL(fileURLWithPath: path)) }
        try body(
            LegComparison(
                first: paths[0], second: paths[1], size: ByteCount(Int64(Self.size)), isDirect: false,
                pauses: [1, 5, 10].map(Duration.milliseconds)))
    }

    private func write(_ path: String, at offset: UInt64, _ byte: UInt8) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seek(toOffset: offset)
        try file.write(contentsOf: Data([byte]))
        try file.close()
    }

    @Test("The same is the same, to its last byte, and progress is told")
    func same() throws {
        try withFiles { comparison in
            var told: [Int64] = []
            try comparison.run { told.append($0.bytes) }
            #expect(told == [1 << 20, 2 << 20, 3 << 20, Int64(Self.size)])
        }
    }

    @Test("One byte that differs is found and its block told", arguments: [0, 4096 * 300 + 5, size - 1])
    func different(_ offset: Int) throws {
        try withFiles { comparison in
            try write(comparison.second, at: UInt64(offset), UInt8(truncatingIfNeeded: offset / 7) ^ 1)
            let failure = #expect(throws: Failure.self) { try comparison.run { _ in } }
            #expect(failure?.code == .failed)
            #expect(failure?.why?.contains("byte \(offset / 4096 * 4096) ") == true, "\(failure?.why ?? "")")
        }
    }

    @Test("Below a guest that discards, what a difference may come from is told, and what to do")
    func discarded() throws {
        try withFiles { comparison in
            var comparison = comparison
            comparison.remedy = MirrorWatch.remedyForDiscards
            try write(comparison.second, at: 5000, 0xaa)
            let failure = #expect(throws: Failure.self) { try comparison.run { _ in } }
            let text = try #require(failure).description
            for word in ["discard", "fstrim.timer", "remount,nodiscard", "repeat the swap"] {
                #expect(text.contains(word), "\(text)")
            }
        }
    }

    @Test("Many differences are not all kept in mind")
    func many() throws {
        try withFiles { comparison in
            try Data(count: Self.size).write(to: URL(fileURLWithPath: comparison.second))
            #expect(throws: Failure.self) { try comparison.run { _ in } }
        }
    }

    @Test("A write that is under way is no difference")
    func underWay() throws {
        try withFiles { comparison in
            var comparison = comparison
            comparison.pauses = [100, 200, 400].map(Duration.milliseconds)
            try write(comparison.first, at: 5000, 0xaa)
            let second = comparison.second
            let late = Thread {
                usleep(150_000)
                try? self.write(second, at: 5000, 0xaa)
            }
            late.start()
            try comparison.run { _ in }
        }
    }

    @Test("A device that ends early, or is not there, is told")
    func short() throws {
        try withFiles { comparison in
            try Data(count: 1 << 20).write(to: URL(fileURLWithPath: comparison.second))
            #expect(throws: Failure.self) { try comparison.run { _ in } }
            try FileManager.default.removeItem(atPath: comparison.second)
            let failure = #expect(throws: Failure.self) { try comparison.run { _ in } }
            #expect(failure?.code == .notFound)
        }
    }
}
