import HostModel
import Hosts
import ImageStream
import Migration
import Storage
import Synchronization

/// The target's end of a channel that carries what a volume holds, past DRBD.
struct SeedReceiver: Sendable {
    private let spec: MigrationSpec
    private let worker: HostWorker
    private let input: BoundedIO
    private let say: @Sendable (ReceiverEvent) throws -> Void
    private static let silence = Duration.seconds(60)

    init(
        _ spec: MigrationSpec, _ worker: HostWorker, _ input: BoundedIO,
        say: @escaping @Sendable (ReceiverEvent) throws -> Void
    ) {
        self.spec = spec
        self.worker = worker
        self.input = input
        self.say = say
    }

    /// Whatever comes of it, the replica is attached at the end: with what was sent, or knowing of nothing.
    func receive(_ name: VolumeName, _ generation: UInt64) async throws {
        guard let volume = spec.volumes.first(where: { $0.name == name }) else {
            throw Failure(.refused, "migration \(spec.id) has no volume \(name)")
        }
        let control = try await worker.clearForSeed(volume, spec)
        do {
            let path = try await worker.store.device(name, .data, at: volume.targetPlace)
            try say(.ready)
            try await Blocking.run("seed") { [input] in
                let intake = try SeedIntake(path, size: volume.size, from: input)
                repeat {
                    guard let frame = try Frame.read(from: input, limit: Self.silence) else {
                        throw Failure(.unreachable, "the channel of \(name) ended too early")
                    }
                    try intake.take(frame)
                } while !intake.isComplete
            }
            // DRBD reads below the host's memory.
            try await worker.host.runner.run(.mutation(.blockdev, "--flushbufs", path))
            try await worker.takeSeed(control, generation: generation)
        } catch {
            try? await worker.attachSeeded(control, volume)
            throw error
        }
        try await worker.attachSeeded(control, volume)
        try say(.stored)
    }
}
