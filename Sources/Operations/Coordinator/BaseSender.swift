import Domains
import HostModel
import Hosts
import ImageStream
import Migration
import Synchronization

/// Sends what the guest's memory was at an earlier moment to the target while the guest runs, so that the freeze has to send no
/// more of it than what has changed since. A failure costs nothing but time: everything is sent in the freeze then.
final class BaseSender: Sendable {
    private struct State {
        var isStopped = false
        var base: PageBase?
        var failure: Failure?
    }

    private let spec: MigrationSpec
    private let epoch: Int64
    private let images: SavedImages
    private let make: @Sendable () async throws -> Void
    private let state = Mutex(State())

    /// - Parameter make: makes the base, where there is none yet.
    init(
        spec: MigrationSpec, epoch: Int64, images: SavedImages, make: @escaping @Sendable () async throws -> Void = {}
    ) {
        self.spec = spec
        self.epoch = epoch
        self.images = images
        self.make = make
    }

    private var path: String { images.path(spec.id, .base) }

    var isUnderWay: Bool { state.withLock { $0.base == nil && $0.failure == nil } }
    /// What the target has now.
    var base: PageBase? { state.withLock { $0.base } }
    /// Why the target has nothing.
    var failure: Failure? { state.withLock { $0.failure } }

    func stop() { state.withLock { $0.isStopped = true } }

    func start() {
        Task { [self] in
            do {
                let base = try await send()
                state.withLock { $0.base = base }
            } catch {
                let failure = Failure(error, doing: "cannot send the guest's memory ahead")
                state.withLock { $0.failure = failure }
            }
        }
    }

    private func send() async throws -> PageBase {
        try await make()
        let size = images.size(spec.id, .base)
        let channel = try await ImageChannel.open(spec: spec, epoch: epoch, .base(size: size))
        do {
            let base = try await Blocking.run("earlier image") { [self] in
                try sendFile(channel)
                return try PageBase(path: path, pages: PageTable.read(path, hasEnded: isWhole))
            }
            try await channel.expect(.stored, within: .seconds(120))
            await channel.close(within: .seconds(10))
            return base
        } catch {
            channel.kill()
            throw error
        }
    }

    private func sendFile(_ channel: ImageChannel) throws {
        let file = try GrowingFile(path, piece: 1 << 18, hasEnded: isWhole) {}
        let compressor = try ZstandardCompressor()
        let pace = Pace(limit: spec.bandwidth)
        var sent: Int64 = 0
        func send(_ bytes: UnsafeRawBufferPointer) throws {
            try channel.writeData(bytes)
            sent += Int64(bytes.count)
            pace.reached(sent)
        }
        try file.rest { try compressor.compress($0, emit: send) }
        try compressor.finish(emit: send)
        try channel.write(.end(size: file.position))
    }

    /// The file is what it will be, and is read until somebody stops it.
    private func isWhole() throws -> Bool {
        if state.withLock({ $0.isStopped }) { throw Failure(.interrupted, "it was stopped") }
        return true
    }
}
