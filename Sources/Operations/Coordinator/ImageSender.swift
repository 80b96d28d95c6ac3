import Domains
import HostModel
import Hosts
import ImageStream
import Migration
import Synchronization

/// Follows the image file while `xl save` writes it, and sends what the target has not got yet, compressed.
///
/// `xl save` writes to a file and never into our hands: should this process die, the save goes on, the file is whole, and the
/// guest's memory is not lost with a pipe's last 64 KiB.
public final class ImageSender: Sendable {
    private let channel: ImageChannel
    private let base: PageBase?
    private let progress = Mutex(Progress())

    private struct Progress {
        var saveEnded = false
        var stopped = false
        var size: Int64 = 0
        var sent: Int64 = 0
        var known: Int64 = 0
        var lastSign = ContinuousClock.now
    }

    /// Opens the channel and waits until the target is ready: all that takes long before the freeze.
    /// - Parameter base: an image that the target has too; its pages are not sent again.
    static func open(spec: MigrationSpec, epoch: Int64, base: PageBase?) async throws -> ImageSender {
        let content = ImageHeader.Content.image(base: base.map { ByteCount($0.size) })
        return ImageSender(try await .open(spec: spec, epoch: epoch, content), base)
    }

    private init(_ channel: ImageChannel, _ base: PageBase?) {
        self.channel = channel
        self.base = base
    }

    /// Read and sent so far, in bytes, and how much of what was read the target had already.
    public var position: (size: ByteCount, sent: ByteCount, known: ByteCount) {
        progress.withLock { (ByteCount($0.size), ByteCount($0.sent), ByteCount($0.known)) }
    }

    /// The save has ended well: the file has all that it will ever have.
    public func saveEnded() { progress.withLock { $0.saveEnded = true } }

    /// Stops `send` where it is.
    public func stop() { progress.withLock { $0.stopped = true } }

    /// Sends the file at `path` until the save has ended and all of it is sent. Returns when the target holds the tail.
    public func send(_ path: String) async throws {
        do { try await Blocking.run("image") { [self] in try follow(path) } } catch let failure as Failure {
            // A target that ends first says why before it does, and ssh where it is the connection that broke.
            if failure.code == .unreachable { _ = try await channel.nextEvent(within: .seconds(10)) }
            throw failure
        }
        guard case .holding = try await channel.nextEvent(within: .seconds(120)) else { throw channel.outOfTurn() }
        startKeepingAlive()
    }

    /// Lets the tail go and waits for the domain to exist on the target.
    public func release() async throws {
        stop()
        try channel.write(.release)
        try await channel.expect(.restored, within: .seconds(240))
        await channel.close(within: .seconds(10))
    }

    /// Gives the image up; the target takes down what it has built.
    public func cancel() async {
        stop()
        try? channel.write(.cancel)
        await channel.close(within: .seconds(5))
    }

    private func follow(_ path: String) throws {
        let file = try GrowingFile(path, piece: DeltaEncoder.longestRun, hasEnded: hasEnded, isWaiting: keepAlive)
        let compressor = try ZstandardCompressor()
        let delta = DeltaEncoder(base: base)
        func pack(_ bytes: UnsafeRawBufferPointer) throws { try compressor.compress(bytes, emit: sendData) }
        func take(_ bytes: UnsafeRawBufferPointer) throws { try delta.take(bytes, emit: pack) }
        var layout = SavedImageLayout()
        parts: while true {
            let part = try layout.next { count in
                let bytes = try file.bytes(count)
                try bytes.withUnsafeBytes(take)
                return bytes
            }
            switch part {
            case .bytes(let count): try file.next(count, take)
            case .pages(let numbers):
                var rest = numbers[...]
                try file.next(numbers.count * PageBase.pageSize) { pages in
                    let count = pages.count / PageBase.pageSize
                    try delta.take(pages: pages, numbers: rest.prefix(count), emit: pack)
                    rest = rest.dropFirst(count)
                }
            case .rest:
                try file.rest(take)
                break parts
            }
            progress.withLock { ($0.size, $0.known) = (file.position, delta.copied) }
            try keepAlive()
        }
        try delta.finish(emit: pack)
        try compressor.finish(emit: sendData)
        progress.withLock { ($0.size, $0.known) = (file.position, delta.copied) }
        try channel.write(.end(size: file.position))
    }

    private func hasEnded() throws -> Bool {
        let state = progress.withLock { $0 }
        if state.stopped { throw Failure(.interrupted, "the image was not sent to its end") }
        return state.saveEnded
    }

    /// The target must not take it for our death where the guest is still being asked to suspend, where the disk is slower
    /// than we are, or where for a long time nothing has changed.
    private func keepAlive() throws {
        guard progress.withLock({ $0.lastSign.duration(to: .now) > .seconds(5) }) else { return }
        try channel.write(.keepAlive)
        progress.withLock { $0.lastSign = .now }
    }

    private func sendData(_ bytes: UnsafeRawBufferPointer) throws {
        try channel.writeData(bytes)
        progress.withLock { ($0.sent, $0.lastSign) = ($0.sent + Int64(bytes.count), .now) }
    }

    /// While the disks change hands the target must not take the silence for our death.
    private func startKeepingAlive() {
        Task { [self] in
            while !progress.withLock({ $0.stopped }) {
                try? channel.write(.keepAlive)
                try await Task.sleep(for: .seconds(5))
            }
        }
    }
}
