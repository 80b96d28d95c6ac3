import Domains
import HostModel
import Hosts
import ImageStream
import Migration
import Synchronization

/// What the first frame of an image channel says.
struct ImageHeader: Codable {
    var id: MigrationID
    var epoch: Int64
}

/// What the receiver tells the sender, one JSON object a line.
public enum ReceiverEvent: Sendable, Codable, Equatable {
    /// The receiver waits for the image.
    case ready
    /// `xl restore` has been given everything but the tail.
    case holding(size: Int64)
    /// The domain exists and is paused.
    case restored
    case failed(Failure)
}

/// The target's end of the image channel: feeds `xl restore -p` while the image arrives, keeps the compressed image, and
/// holds the tail back until the source has let its disks go.
///
/// Whatever goes wrong before the release, a lost connection and the death of this process included, ends the restore: `xl
/// restore` sees its input end early and destroys what it has built.
public struct ImageReceiver: Sendable {
    private let worker: HostWorker
    private var host: HostContext { worker.host }
    private let input = BoundedIO(descriptor: 0, purpose: "the image channel")
    private let output = BoundedIO(descriptor: 1, purpose: "the image channel")
    /// The source sends a sign of life every few seconds.
    private static let silence = Duration.seconds(30)

    public init(worker: HostWorker) { self.worker = worker }

    /// Receives one image.
    public func run() async {
        do {
            let header = try await readHeader()
            // The receiver of a run that died ends when it notices.
            try await HostTurn.take(.image, of: header.id, on: host, limit: .seconds(45)) {
                let spec = try await begin(header)
                try say(.ready)
                try await receive(spec)
                try say(.restored)
            }
        } catch {
            try? say(.failed(Failure(error, doing: "cannot receive the image").on(host.name.text)))
        }
    }

    private func readHeader() async throws -> ImageHeader {
        let frame = try await Blocking.run("image header") { [input] in try Frame.read(from: input, limit: Self.silence)
        }
        guard case .begin(let bytes)? = frame else {
            throw Failure(.refused, "the image channel does not begin with a header")
        }
        return try JSONText.decode(
            ImageHeader.self, from: String(decoding: bytes, as: UTF8.self), what: "the image's header")
    }

    private func begin(_ header: ImageHeader) async throws -> MigrationSpec {
        let spec = try worker.checkedSpec(of: header.id, epoch: header.epoch, role: .target)
        guard try await worker.observe(spec) == .absent else {
            throw Failure(.refused, "cannot receive the image", why: "a domain \(spec.domain) exists here already")
        }
        return spec
    }

    private func receive(_ spec: MigrationSpec) async throws {
        let file = try host.images.create(spec.id, .received)
        let deadline = XLCommands.deadline(memory: spec.memory) + .seconds(600)
        let restore = try ChildChannel(
            XLCommands.restorePaused(from: .stream, deadline: deadline), purpose: "the restore of \(spec.domain)")
        do {
            let intake = try ImageIntake(path: file, restore: restore.input)
            try await Blocking.run("image") { [input] in
                while true {
                    guard let frame = try Frame.read(from: input, limit: Self.silence) else {
                        throw Failure(.unreachable, "the image channel ended before the image was released")
                    }
                    if try intake.take(frame) { break }
                    if case .end = frame { try say(.holding(size: intake.size)) }
                }
            }
            try await worker.checkReadyToOpen(spec)
            try await Blocking.run("tail") { try intake.release() }
            restore.closeInput()
            try await waitForEnd(of: restore, spec)
        } catch {
            let endedByItself = restore.hasLetInputGo
            await giveUp(restore, spec)
            // That the image could not be written on is not the cause then.
            if endedByItself { try await waitForEnd(of: restore, spec) }
            throw error
        }
    }

    private func waitForEnd(of restore: ChildChannel, _ spec: MigrationSpec) async throws {
        guard let code = await restore.exitCode(limit: .seconds(120)) else {
            throw Failure(.outcomeUnknown, "'xl restore' of \(spec.domain) does not end", why: restore.lastWords)
        }
        guard code == 0 else {
            throw XLFailure.explain(
                CommandResult(termination: .exited(code), output: "", errors: restore.errorOutput),
                doing: "cannot restore \(spec.domain)")
        }
    }

    /// Ends the restore without its tail; `xl restore` then takes down what it built.
    private func giveUp(_ restore: ChildChannel, _ spec: MigrationSpec) async {
        restore.closeInput()
        if await restore.exitCode(limit: .seconds(60)) == nil { restore.kill() }
    }

    private func say(_ event: ReceiverEvent) throws {
        try output.write(Array((try JSONText.encode(event) + "\n").utf8), limit: .seconds(30))
    }
}

/// Where the frames go: the file that is kept, and through the decompressor and the tail holder into the restore.
private final class ImageIntake: Sendable {
    private struct State: ~Copyable {
        let decompressor: ZstandardDecompressor
        var holder = TailHolder(size: SavedImage.heldBackTail)
        var size: Int64 = 0
        var isComplete = false
    }

    private let state: Mutex<State>
    private let file: BoundedIO
    private let restore: BoundedIO
    private static let limit = Duration.seconds(120)

    init(path: String, restore: BoundedIO) throws {
        file = try BoundedIO(appendingTo: path, purpose: "the received image \(path)")
        self.restore = restore
        state = Mutex(State(decompressor: try ZstandardDecompressor()))
    }

    deinit { file.close() }

    /// Uncompressed bytes so far.
    var size: Int64 { state.withLock { $0.size } }

    /// Takes one frame; true for the release.
    func take(_ frame: Frame) throws -> Bool {
        try state.withLock { state in
            switch frame {
            case .begin: throw Failure(.refused, "the image channel carries a second header")
            case .data(let bytes):
                try file.write(bytes, limit: Self.limit)
                try bytes.withUnsafeBytes { packed in
                    try state.decompressor.decompress(packed) { plain in
                        state.size += Int64(plain.count)
                        try state.holder.pass(plain) { try restore.write($0, limit: Self.limit) }
                    }
                }
            case .end(let size):
                guard state.decompressor.isFinished, state.size == size else {
                    throw Failure(
                        .failed, "the image is not whole", why: "\(state.size) of \(size) bytes arrived")
                }
                state.isComplete = true
            case .release:
                guard state.isComplete else { throw Failure(.refused, "an image was released before its end") }
                return true
            case .cancel: throw Failure(.interrupted, "the source gave the image up")
            case .keepAlive: break
            }
            return false
        }
    }

    func release() throws {
        try state.withLock { state in try state.holder.release { try restore.write($0, limit: Self.limit) } }
    }
}
