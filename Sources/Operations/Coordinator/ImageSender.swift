import HostModel
import Hosts
import ImageStream
import Migration
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The source's end of the image channel: follows the image file while `xl save` writes it, and sends it compressed.
///
/// `xl save` writes to a file and never into our hands: should this process die, the save goes on, the file is whole, and the
/// guest's memory is not lost with a pipe's last 64 KiB.
public final class ImageSender: Sendable {
    private let channel: ChildChannel
    private let host: HostName
    private let progress = Mutex(Progress())

    private struct Progress {
        var saveEnded = false
        var stopped = false
        var size: Int64 = 0
        var sent: Int64 = 0
    }

    /// Opens the channel and waits until the target is ready: all that takes long before the freeze.
    public init(spec: MigrationSpec, epoch: Int64) async throws {
        host = spec.target.name
        channel = try ChildChannel(SSHCommand.receiver(on: host), purpose: "the image channel to \(host)")
        do {
            let header = try JSONText.encode(ImageHeader(id: spec.id, epoch: epoch))
            try Frame.begin(Array(header.utf8)).write(to: channel.input, limit: .seconds(20))
            guard try await nextEvent(limit: .seconds(60)) == .ready else { throw unexpected() }
        } catch {
            channel.kill()
            throw error
        }
    }

    /// Read and sent so far, in bytes.
    public var position: (size: ByteCount, sent: ByteCount) {
        progress.withLock { (ByteCount($0.size), ByteCount($0.sent)) }
    }

    /// The save has ended well: the file has all that it will ever have.
    public func saveEnded() { progress.withLock { $0.saveEnded = true } }

    /// Stops `send` where it is.
    public func stop() { progress.withLock { $0.stopped = true } }

    /// Sends the file at `path` until the save has ended and all of it is sent. Returns when the target holds the tail.
    public func send(_ path: String) async throws {
        do { try await Blocking.run("image") { [self] in try follow(path) } } catch let failure as Failure {
            // A target that ends first says why before it does, and ssh where it is the connection that broke.
            if failure.code == .unreachable { _ = try await nextEvent(limit: .seconds(10)) }
            throw failure
        }
        guard case .holding = try await nextEvent(limit: .seconds(120)) else { throw unexpected() }
        startKeepingAlive()
    }

    /// Lets the tail go and waits for the domain to exist on the target.
    public func release() async throws {
        stop()
        try Frame.release.write(to: channel.input, limit: .seconds(20))
        guard try await nextEvent(limit: .seconds(240)) == .restored else { throw unexpected() }
        channel.closeInput()
        _ = await channel.exitCode(limit: .seconds(10))
        channel.kill()
    }

    /// Gives the image up; the target takes down what it has built.
    public func cancel() async {
        stop()
        try? Frame.cancel.write(to: channel.input, limit: .seconds(2))
        channel.closeInput()
        if await channel.exitCode(limit: .seconds(5)) == nil { channel.kill() }
    }

    private static let writeLimit = Duration.seconds(30)

    private func follow(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else {
            throw Failure(.failed, "cannot read the image \(path)", why: String(cString: strerror(errno)))
        }
        defer { close(file) }
        let compressor = try ZstandardCompressor()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var lastSign = ContinuousClock.now
        while true {
            let state = progress.withLock { $0 }
            if state.stopped { throw Failure(.interrupted, "the image was not sent to its end") }
            let count = read(file, &buffer, buffer.count)
            if count < 0, errno != EINTR {
                throw Failure(.failed, "cannot read the image \(path)", why: String(cString: strerror(errno)))
            }
            if count > 0 {
                progress.withLock { $0.size += Int64(count) }
                try buffer[..<count].withUnsafeBytes { try compressor.compress($0, emit: sendData) }
                lastSign = .now
            } else if state.saveEnded {
                break
            } else {
                // Nothing new yet: the guest is still being asked to suspend, or the disk is slower than we are.
                usleep(2_000)
                if lastSign.duration(to: .now) > .seconds(5) {
                    try Frame.keepAlive.write(to: channel.input, limit: Self.writeLimit)
                    lastSign = .now
                }
            }
        }
        try compressor.finish(emit: sendData)
        try Frame.end(size: progress.withLock { $0.size }).write(to: channel.input, limit: Self.writeLimit)
    }

    private func sendData(_ bytes: UnsafeRawBufferPointer) throws {
        try Frame.writeData(bytes, to: channel.input, limit: Self.writeLimit)
        progress.withLock { $0.sent += Int64(bytes.count) }
    }

    /// While the disks change hands the target must not take the silence for our death.
    private func startKeepingAlive() {
        Task { [self] in
            while !progress.withLock({ $0.stopped }) {
                try? Frame.keepAlive.write(to: channel.input, limit: .seconds(5))
                try await Task.sleep(for: .seconds(5))
            }
        }
    }

    private func nextEvent(limit: Duration) async throws -> ReceiverEvent {
        let line: String?
        do { line = try await channel.readLine(longest: 65_536, limit: limit) } catch {
            throw Failure(error, doing: "cannot hear the target").on(host.text)
        }
        guard let line else {
            let words = channel.lastWords
            throw Failure(
                .unreachable, "the image channel to \(host) ended", host: host.text, why: words.isEmpty ? nil : words,
                remedy: "check that 'ssh \(host) xenlvs --version' works as this user")
        }
        let event = try JSONText.decode(ReceiverEvent.self, from: line, what: "what \(host) says of the image")
        if case .failed(let failure) = event { throw failure.on(host.text) }
        return event
    }

    private func unexpected() -> Failure {
        Failure(.failed, "\(host) answered out of turn on the image channel")
    }
}
