import Foundation
import HostModel
import Hosts
import Storage
import Testing

@testable import Operations

@Suite("Checkpoints")
struct CheckpointTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.path + "/xenlvs-checkpoint-\(UUID())"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try body(directory)
    }

    private func checkpoint(_ name: String = "web1-1", _ stage: Checkpoint.Stage = .whole) throws -> Checkpoint {
        Checkpoint(
            name: try VolumeName(name), domain: try DomainName("web1"), uuid: "00000000-0000-4000-8000-000000000001",
            memory: .mebibytes(96), stage: stage, created: 1,
            disks: [
                Checkpoint.Disk(
                    device: "xvda", volume: try VolumeName("web1"), logicalVolumeUUID: "abc", size: .mebibytes(64),
                    snapshot: LogicalVolumeReference(
                        group: try VolumeGroupName("vg0"), name: try LogicalVolumeName("web1.cp1")))
            ])
    }

    @Test("A rolled back disk is what its snapshot is, and only what differs is written")
    func rollBack() throws {
        try withDirectory { directory in
            let size = (2 << 20) + 4096 + 512
            let wanted = Data((0..<size).map { UInt8(truncatingIfNeeded: $0 / 5) })
            var present = wanted
            for offset in [0, 4096 * 7 + 1, 1 << 20, size - 1] { present[offset] ^= 1 }
            let (from, to) = (directory + "/from", directory + "/to")
            try wanted.write(to: URL(fileURLWithPath: from))
            try present.write(to: URL(fileURLWithPath: to))
            let rollback = DiskRollback(from: from, to: to, size: ByteCount(Int64(size)), isDirect: false)
            #expect(try rollback.run() == ByteCount(3 * 4096 + 512))
            #expect(try Data(contentsOf: URL(fileURLWithPath: to)) == wanted)
            #expect(try rollback.run() == ByteCount(0))
            #expect(try Data(contentsOf: URL(fileURLWithPath: from)) == wanted)
        }
    }

    @Test("A disk that is too short is told")
    func short() throws {
        try withDirectory { directory in
            let (from, to) = (directory + "/from", directory + "/to")
            try Data(count: 4096).write(to: URL(fileURLWithPath: from))
            try Data(count: 8192).write(to: URL(fileURLWithPath: to))
            let failure = #expect(throws: Failure.self) {
                try DiskRollback(from: from, to: to, size: ByteCount(8192), isDirect: false).run()
            }
            #expect(failure?.code == .inconsistent)
        }
    }

    @Test("Records are kept, found and removed with their images, which nobody else may read")
    func store() throws {
        try withDirectory { directory in
            let store = CheckpointStore(Paths(state: directory))
            #expect(try store.all().isEmpty)
            try store.save(try checkpoint("web1-2", .making))
            try store.save(try checkpoint())
            #expect(try store.all().map(\.name.text) == ["web1-1", "web1-2"])
            let path = try store.image(try VolumeName("web1-2")).create()
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(store.image(try VolumeName("web1-2")).size == ByteCount(0))
            #expect(throws: Failure.self) { try store.image(try VolumeName("web1-2")).seal() }
            try store.remove(try VolumeName("web1-2"))
            try store.remove(try VolumeName("web1-2"))
            #expect(try store.all() == [try checkpoint()])
            #expect(!FileManager.default.fileExists(atPath: path))
            let failure = #expect(throws: Failure.self) { try store.find(try VolumeName("web1-2")) }
            #expect(failure?.code == .notFound)
        }
    }

    @Test("A record under another's name, or one that is none, stops everything")
    func damaged() throws {
        try withDirectory { directory in
            let store = CheckpointStore(Paths(state: directory))
            try store.save(try checkpoint())
            try FileManager.default.moveItem(
                atPath: store.directory + "/web1-1.json", toPath: store.directory + "/web1-7.json")
            #expect(throws: Failure.self) { try store.all() }
            try Data("{".utf8).write(to: URL(fileURLWithPath: store.directory + "/web1-7.json"))
            #expect(throws: Failure.self) { try store.all() }
        }
    }

    @Test("Runs can be ended at the steps of a checkpoint")
    func crashPoints() throws {
        for step in CheckpointStep.allCases {
            #expect(try CrashPoint(.crash, at: "\(step.rawValue):before").step == step.rawValue)
        }
    }

    @Test(
        "Each stage that is not the end has something to type",
        arguments: [Checkpoint.Stage.making, .rollingBack, .starting])
    func remedies(_ stage: Checkpoint.Stage) throws {
        let text = CheckpointManager.remedy(try checkpoint("web1-1", stage))
        #expect(text.contains(stage == .making ? "xenlvs recover" : "checkpoint restore web1-1"))
    }

    @Test("It puts back only the disk that it was made of, and no old copy of that")
    func objections() throws {
        let checkpoint = try Sample.checkpoint(of: "web1")
        let disk = checkpoint.disks[0]
        var volume = try Sample.volume("web1")
        #expect(checkpoint.objection(to: volume, for: disk) == nil)
        volume.state = .restoring(checkpoint: checkpoint.name)
        #expect(checkpoint.objection(to: volume, for: disk) == nil)
        volume.state = .retired(migration: "web1-20261121-0001")
        #expect(
            checkpoint.objection(to: volume, for: disk)
                == "'web1' is the old copy that migration web1-20261121-0001 left behind")
        volume.state = .active
        volume.logicalVolumeUUID = "another"
        #expect(checkpoint.objection(to: volume, for: disk)?.contains("not what it was") == true)
        #expect(checkpoint.objection(to: nil, for: disk)?.contains("not what it was") == true)
    }
}
