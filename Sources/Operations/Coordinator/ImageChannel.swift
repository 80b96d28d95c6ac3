import HostModel
import Hosts
import ImageStream
import Migration

/// What a live hand-over needs of its way to the target.
protocol LiveChannel: Sendable {
    var host: HostName { get }
    func write(_ frame: Frame) throws
    func writeData(_ bytes: UnsafeRawBufferPointer) throws
    func event(within limit: Duration) async throws -> ReceiverEvent?
    func outOfTurn() -> Failure
    func close(within limit: Duration) async
}

/// The source's end of a channel to the target's `xenlvs agent --receive`.
struct ImageChannel: LiveChannel {
    private let child: ChildChannel
    let host: HostName
    private static let limit = Duration.seconds(30)
    /// Of a line, in bytes.
    private static let longest = 65_536

    /// Opens the channel and waits until the target is ready.
    static func open(
        spec: MigrationSpec, epoch: Int64, _ content: ImageHeader.Content
    ) async throws -> ImageChannel {
        let header = try JSONText.encode(ImageHeader(id: spec.id, epoch: epoch, content: content))
        let channel = try ImageChannel(to: spec.target.name)
        do {
            try channel.write(.begin(Array(header.utf8)))
            try await channel.expect(.ready, within: .seconds(60))
        } catch {
            channel.kill()
            throw error
        }
        return channel
    }

    private init(to host: HostName) throws {
        self.host = host
        child = try ChildChannel(SSHCommand.receiver(on: host), purpose: "the image channel to \(host)")
    }

    /// Blocks until the target takes it, but not for ever.
    func write(_ frame: Frame) throws { try frame.write(to: child.input, limit: Self.limit) }

    /// The same for a piece of the compressed stream.
    func writeData(_ bytes: UnsafeRawBufferPointer) throws {
        try Frame.writeData(bytes, to: child.input, limit: Self.limit)
    }

    /// Waits for what the target says next. Throws what it reports as a failure.
    func nextEvent(within limit: Duration) async throws -> ReceiverEvent {
        do { return try event(in: try await child.readLine(longest: Self.longest, limit: limit)) } catch {
            throw Failure(error, doing: "cannot hear the target").on(host.text)
        }
    }

    /// The same; nil where nothing has come for `limit`. What has come of a line is kept for the next time.
    func event(within limit: Duration) async throws -> ReceiverEvent? {
        let line: String?
        do { line = try await child.readLine(longest: Self.longest, limit: limit) } catch {
            let failure = Failure(error, doing: "cannot hear the target").on(host.text)
            if failure.code == .outcomeUnknown { return nil }
            throw failure
        }
        return try event(in: line)
    }

    private func event(in line: String?) throws -> ReceiverEvent {
        guard let line else {
            let words = child.lastWords
            throw Failure(
                .unreachable, "the image channel to \(host) ended", host: host.text, why: words.isEmpty ? nil : words,
                remedy: "check that 'ssh \(host) xenlvs --version' works as this user")
        }
        let event = try JSONText.decode(ReceiverEvent.self, from: line, what: "what \(host) says of the image")
        if case .failed(let failure) = event { throw failure.on(host.text) }
        return event
    }

    func expect(_ event: ReceiverEvent, within limit: Duration) async throws {
        guard try await nextEvent(within: limit) == event else { throw outOfTurn() }
    }

    func outOfTurn() -> Failure { Failure(.failed, "\(host) answered out of turn on the image channel") }

    /// Lets the other end finish by itself, for a while.
    func close(within limit: Duration) async { await child.end(within: limit) }

    func kill() { child.kill() }
}
