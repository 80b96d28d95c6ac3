import Foundation
import HostModel
import Storage
import Testing

@testable import Operations

@Suite("How much was written to a device")
struct WriteCountTests {
    private typealias Show = (_ statistics: String, _ sequence: String?) throws -> Void

    private func withCount(_ body: (DeviceTree, Show) throws -> Void) throws {
        let root = FileManager.default.temporaryDirectory.path + "/xenlvs-count-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: root) }
        let place = root + "/dev/block/253:3"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try body(DeviceTree(sysfs: root)) { stat, sequence in
            try Data("\(stat)\n".utf8).write(to: URL(fileURLWithPath: place + "/stat"))
            try? FileManager.default.removeItem(atPath: place + "/diskseq")
            guard let sequence else { return }
            try Data("\(sequence)\n".utf8).write(to: URL(fileURLWithPath: place + "/diskseq"))
        }
    }

    private let device = BlockDeviceNumber(major: 253, minor: 3)

    @Test("Reads and flushes leave it, writes and discards raise it")
    func grows() throws {
        try withCount { tree, show in
            try show("1 0 8 0 2 0 16 0 0 0 0 3 0 24 0 4 0", "12")
            let count = try WriteCount(of: device, in: tree)
            #expect(count.sectors == 40 && count.sequence == 12)
            try show("9 0 99 0 2 0 16 0 0 0 0 3 0 24 0 5 0", "12")
            #expect(try !count.hasGrown(in: tree))
            for text in ["1 0 8 0 3 0 17 0 0 0 0 3 0 24 0 4 0", "1 0 8 0 2 0 16 0 0 0 0 4 0 25 0 4 0"] {
                try show(text, "12")
                #expect(try count.hasGrown(in: tree))
            }
        }
    }

    @Test("A device that was made anew, is gone or tells nothing is no answer; older kernels say less")
    func others() throws {
        try withCount { tree, show in
            try show("1 0 8 0 2 0 16 0 0 0 0", nil)
            let count = try WriteCount(of: device, in: tree)
            #expect(count.sectors == 16 && count.sequence == nil)
            let wrong: [(String, String?)] = [
                ("1 0 8 0 2 0 15 0 0 0 0", nil), ("1 0 8 0 2 0 16 0 0 0 0", "1"), ("1 2", nil),
            ]
            for (text, sequence) in wrong {
                try show(text, sequence)
                #expect(throws: Failure.self) { try count.hasGrown(in: tree) }
            }
            let gone = #expect(throws: Failure.self) {
                try WriteCount(of: BlockDeviceNumber(major: 253, minor: 4), in: tree)
            }
            #expect(gone?.code == .notFound)
        }
    }
}
