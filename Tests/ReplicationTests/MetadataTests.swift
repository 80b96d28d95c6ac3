import Foundation
import HostModel
import Replication
import Testing

struct MetadataTests {
    private static let documentedSizes: [(ByteCount, ByteCount)] = [
        (.mebibytes(64), .mebibytes(1)),
        (.gibibytes(1), .mebibytes(1)),
        (.gibibytes(100), .sectors(6472)),
        (.gibibytes(1024), .sectors(65608)),
        (.gibibytes(4096), .sectors(262_216)),
        (.gibibytes(100) + .sectors(1), .sectors(6480)),
    ]

    @Test("The metadata's size is what DRBD's documentation says", arguments: documentedSizes)
    func documented(size: ByteCount, metadata: ByteCount) {
        #expect(ReplicaMetadata.size(for: size) == metadata)
    }

    @Test("100 GiB, 1 TiB and 4 TiB need 3.2, 32.04 and 128.04 MiB")
    func table() {
        let mebibytes = [100, 1024, 4096].map {
            (Double(ReplicaMetadata.size(for: .gibibytes($0)).bytes) / 1_048_576 * 100).rounded() / 100
        }
        #expect(mebibytes == [3.16, 32.04, 128.04])
    }

    @Test("Each further peer needs a bitmap of its own")
    func peers() {
        #expect(ReplicaMetadata.size(for: .gibibytes(1024), peers: 3) == .sectors(8192 * 8 * 3 + 72))
    }

    @Test(
        "The metadata's size is what drbdmeta itself sets aside at the end of a device", .serialized,
        arguments: [ByteCount.gibibytes(50), ByteCount.mebibytes(102_404), ByteCount.gibibytes(1024)], ["v08", "v09"])
    func drbdmetaAgrees(size: ByteCount, format: String) throws {
        let sectors = try InternalMetadata.sectors(onDeviceOf: size, format: format)
        #expect(ReplicaMetadata.size(for: size) == .sectors(sectors))
    }

    @Test("A mark is read as it was written, and nothing is read from unmarked metadata")
    func marks() {
        let mark = OwnershipMark(value: 0xABC)
        #expect(OwnershipMark(readDeviceUUID: "0000000000000ABC\n") == mark)
        #expect(OwnershipMark(readDeviceUUID: "0000000000000000\n") == nil)
        #expect(OwnershipMark(readDeviceUUID: "") == nil)
        let command = DRBDCommands(dialect: .v84).markMetadata(Sample.source, mark)
        #expect(command.arguments.suffix(2) == ["write-dev-uuid", "0000000000000ABC"])
    }

    @Test("Only metadata with our mark, or never used, are proved to be ours")
    func ownership() throws {
        let mark = OwnershipMark(value: 0xABC)
        let used = DataGeneration(
            "74CFF0880962DC80:0000000000000000:566B06FDA114A33C:0000000000000004:1:1:0:0:0:0:0\n")
        let fresh = DataGeneration(Self.justCreated)
        func own(_ found: OwnershipMark?, _ generation: DataGeneration?) throws {
            _ = try OwnedMetadata(of: Sample.source, found: found, expected: mark, generation: generation)
        }
        try own(mark, used)
        try own(mark, nil)
        try own(nil, fresh)
        #expect(throws: Failure.self) { try own(nil, used) }
        #expect(throws: Failure.self) { try own(OwnershipMark(value: 1), used) }
        #expect(throws: Failure.self) { try own(OwnershipMark(value: 1), fresh) }
        // No metadata that this dialect can read: they may be of the other one.
        #expect(throws: Failure.self) { try own(nil, nil) }
    }

    static let justCreated =
        "0000000000000004:0000000000000000:0000000000000000:0000000000000000:0:0:0:0:0:0:0\n"

    @Test("Only a replica that has just been made may be forced to be Primary")
    func freshness() throws {
        let generation = DataGeneration(Self.justCreated)
        func prove(_ name: String, _ generation: DataGeneration?) throws {
            _ = try FreshMetadata(of: Sample.source, generation: generation, status: status("8.4.11-" + name))
        }
        try prove("fresh-source", generation)
        #expect(throws: Failure.self) { try prove("fresh-source", nil) }
        #expect(throws: Failure.self) { try prove("forced-source", generation) }
        #expect(throws: Failure.self) { try prove("syncing-source", generation) }
        // Another host's minor.
        #expect(throws: Failure.self) { try prove("fresh-target", generation) }
        #expect(throws: Failure.self) {
            try prove(
                "fresh-source",
                DataGeneration("3EFD1ACEBD35C24D:0000000000000004:0000000000000000:0000000000000000:1:1:1:0:0:0:0"))
        }
        let target = Sample.target
        let connecting = try status("8.4.11-connecting-target")
        #expect(throws: Failure.self) { try FreshMetadata(of: target, generation: generation, status: connecting) }
        #expect(throws: Failure.self) { try FreshMetadata(of: target, generation: generation, status: nil) }
    }

    @Test("DRBD 9's longer line of generations is read as well, and an answer without one is nil")
    func generations() {
        let line = "0000000000000004:0000000000000000:0000000000000000:0000000000000000:0:0:0:0:1:0:0:0:0:0:0:0\n"
        #expect(DataGeneration(line)?.isJustCreated == true)
        #expect(DataGeneration("Device is unconfigured\n") == nil)
        #expect(DataGeneration("") == nil)
    }

    // As the real drbdmeta prints them, also of metadata that a power cut has left unclean.
    @Test(
        "A copy was complete only if it was consistent and up to date when DRBD last had it",
        arguments: [
            ("1:1:0:1:0:0:0", true), ("1:0:0:1:0:0:0", false), ("0:0:0:1:0:0:0", false), ("0:1:0:0:0:0:0", false),
        ]
    )
    func wasUpToDate(_ flags: String, _ isComplete: Bool) {
        let line = "ABCDEF0123456788:0000000000000000:0000000000000000:0000000000000000:" + flags
        #expect(DataGeneration(line)?.wasUpToDate == isComplete)
    }
}

/// Lets the real `drbdmeta` lay out metadata inside a device, on a sparse file behind a loop device: there, other than
/// on a device of their own, it decides their size itself. Needs root, as every other part of a host's set-up does.
private enum InternalMetadata {
    static func sectors(onDeviceOf size: ByteCount, format: String) throws -> Int64 {
        let file = FileManager.default.temporaryDirectory.appending(path: "xenlvs-drbdmeta-\(UUID().uuidString)")
        #expect(FileManager.default.createFile(atPath: file.path(), contents: nil))
        defer { try? FileManager.default.removeItem(at: file) }
        let handle = try FileHandle(forWritingTo: file)
        try handle.truncate(atOffset: UInt64(size.bytes))
        try handle.close()
        let loop = try run("losetup", ["--find", "--show", file.path()]).trimmingCharacters(in: .newlines)
        defer { _ = try? run("losetup", ["--detach", loop]) }
        let place = ["1048575", format, loop, "flex-internal"]
        _ = try run("drbdmeta", place + (format == "v09" ? ["create-md", "1"] : ["create-md"]))
        // Forgets, beside the metadata, what drbdmeta has noted of the device under /var/lib/drbd.
        defer { _ = try? run("drbdmeta", ["--force"] + place + ["wipe-md"]) }
        let dump = try run("drbdmeta", place + ["dump-md"])
        let line = try #require(dump.split(separator: "\n").first { $0.hasPrefix("# md_size_sect ") })
        return try #require(line.split(separator: " ").last.flatMap { Int64($0) })
    }
}
