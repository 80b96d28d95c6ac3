import Domains
import HostModel
import Hosts
import ImageStream
import Migration
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Sends the image of the first freeze to the target while the guest runs, so that the second freeze has to send no more
/// of its memory than what has changed since. A failure costs nothing but time: everything is sent in the freeze then.
final class BaseSender: Sendable {
    private struct State {
        var isStopped = false
        var base: PageBase?
        var failure: Failure?
    }

    private let spec: MigrationSpec
    private let epoch: Int64
    private let path: String
    private let size: ByteCount
    private let state = Mutex(State())

    init(spec: MigrationSpec, epoch: Int64, path: String, size: ByteCount) {
        self.spec = spec
        self.epoch = epoch
        self.path = path
        self.size = size
    }

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
        let channel = try await ImageChannel.open(spec: spec, epoch: epoch, .base(size: size))
        do {
            let base = try await Blocking.run("earlier image") { [self] in
                try sendFile(channel)
                return try PageBase(path: path, pages: SavedImageLayout.pages(of: path, hasEnded: isWhole))
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
        var pace = Pace(limit: spec.bandwidth)
        func send(_ bytes: UnsafeRawBufferPointer) throws {
            try channel.writeData(bytes)
            pace.sent(bytes.count)
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

/// Keeps a sender to so many bytes in a second.
private struct Pace {
    private let limit: ByteCount?
    private let began = ContinuousClock.now
    private var sent: Int64 = 0

    init(limit: ByteCount?) { self.limit = limit }

    /// Waits until these bytes, too, were allowed. A wait is never longer than a few pieces.
    mutating func sent(_ count: Int) {
        guard let limit, limit.bytes > 0 else { return }
        sent += Int64(count)
        let due = Duration.milliseconds(sent * 1000 / limit.bytes)
        let ahead = due - began.duration(to: .now)
        if ahead > .zero { usleep(UInt32(clamping: min(ahead, .seconds(5)).milliseconds * 1000)) }
    }
}

extension SavedImageLayout {
    /// Where a whole image has which page.
    fileprivate static func pages(
        of path: String, hasEnded: @escaping () throws -> Bool
    ) throws -> [(number: UInt64, offset: Int64)] {
        let file = try GrowingFile(path, piece: 1 << 20, hasEnded: hasEnded) {}
        var layout = SavedImageLayout()
        var pages: [(number: UInt64, offset: Int64)] = []
        while true {
            switch try layout.next(file.bytes) {
            case .bytes(let count): try file.skip(count)
            case .pages(let numbers):
                for (index, number) in numbers.enumerated() {
                    pages.append((number, file.position + Int64(index * PageBase.pageSize)))
                }
                try file.skip(numbers.count * PageBase.pageSize)
            case .rest: return pages
            }
        }
    }
}
