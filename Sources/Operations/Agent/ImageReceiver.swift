import Domains
import HostModel
import Hosts
import ImageStream
import Migration
import Synchronization

/// What the first frame of an image channel says.
struct ImageHeader: Codable {
    enum Content: Codable {
        /// An earlier image of the guest, as it is.
        case base(size: ByteCount)
        /// The guest, as pieces that may be copied from the earlier image, where there is one of that size.
        case image(base: ByteCount?)
        /// The guest as `xl migrate` sends it, while it runs.
        case live
        /// What a volume holds; the source's replica knows it by this generation of its data.
        case seed(VolumeName, generation: UInt64)
    }

    var id: MigrationID
    var epoch: Int64
    var content: Content
}

/// What the receiver tells the sender, one JSON object a line.
public enum ReceiverEvent: Sendable, Codable, Equatable {
    /// The receiver waits for the image.
    case ready
    /// `xl restore` has been given everything but the tail; live, the domain is built.
    case holding(size: Int64)
    /// The domain exists and is paused.
    case restored
    /// The earlier image is here.
    case stored
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
    private let input: BoundedIO
    private let output: BoundedIO
    /// The source sends a sign of life every few seconds.
    private static let silence = Duration.seconds(30)

    /// - Parameters: the descriptors are for tests.
    public init(worker: HostWorker, input: Int32 = 0, output: Int32 = 1) {
        self.worker = worker
        self.input = BoundedIO(descriptor: input, purpose: "the image channel")
        self.output = BoundedIO(descriptor: output, purpose: "the image channel")
    }

    /// Receives one image.
    public func run() async {
        do {
            let header = try await readHeader()
            // Before anything is locked, and again when it is this one's turn.
            _ = try check(header)
            // The receiver of a run that died ends when it notices.
            try await HostTurn.take(.image, of: header.id, on: host, limit: .seconds(45)) {
                let spec = try await begin(header)
                switch header.content {
                case .base(let size): try await receiveBase(spec, size)
                case .image(let base): try await receiveImage(spec, base: base)
                case .seed(let name, let generation):
                    try await SeedReceiver(spec, worker, input, say: say).receive(name, generation)
                case .live: try await LiveReceiver(spec, worker, input, say: say).run()
                }
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
        let spec = try check(header)
        _ = try worker.checkedSpec(of: header.id, epoch: header.epoch, role: .target)
        guard try await worker.observe(spec) == .absent, try await worker.arrivals(spec).isEmpty else {
            throw Failure(.refused, "cannot receive the image", why: "a domain \(spec.domain) exists here already")
        }
        switch (header.content, spec.plan.method) {
        case (.live, .live), (.image, .threeFreeze), (.image, .oneFreeze), (.base, .threeFreeze), (.base, .oneFreeze):
            return spec
        case (.seed, _):
            guard spec.plan.seeds else {
                throw Failure(.refused, "no volume of migration \(spec.id) is sent past DRBD")
            }
            return spec
        case (.live, _), (.image, .live), (.base, .live), (.image, .cold), (.base, .cold):
            throw Failure(.refused, "the image channel carries what does not belong to migration \(spec.id)")
        }
    }

    /// Only into a migration that was taken in here, has its volumes, and is not decided: afterwards the image that is kept
    /// may be the only one.
    private func check(_ header: ImageHeader) throws -> MigrationSpec {
        try RequestLimits.check(epoch: header.epoch)
        let migration = try worker.recorded(header.id)
        guard migration.role == .target else {
            throw Failure(.refused, "this host is the \(migration.role.rawValue) of migration \(header.id)")
        }
        try worker.restriction?.check(migration.spec)
        try worker.checkTiming(.finishRestore, migration)
        try worker.requireOwnVolumes(migration)
        return migration.spec
    }

    /// Stores an earlier image of the guest, from which the next one is put together.
    private func receiveBase(_ spec: MigrationSpec, _ size: ByteCount) async throws {
        let free = try host.images.freeSpace()
        // The image that follows is kept here beside it, and may have nothing in common with it.
        guard free.bytes / 2 > size.bytes else {
            throw Failure(
                .refused, "there is no room for the guest's memory ahead of the freeze", host: host.name.text,
                why: "\(free) are free in \(host.images.directory), twice \(size) are needed")
        }
        let path = try host.images.create(spec.id, .base)
        try say(.ready)
        do {
            let intake = try BaseIntake(path: path, size: size)
            try await Blocking.run("earlier image") { [input] in
                repeat {
                    guard let frame = try Frame.read(from: input, limit: Self.silence) else {
                        throw Failure(.unreachable, "the image channel ended too early")
                    }
                    try intake.take(frame)
                } while !intake.isComplete
            }
        } catch {
            try host.images.remove(spec.id, .base)
            throw error
        }
        try say(.stored)
    }

    private func receiveImage(_ spec: MigrationSpec, base size: ByteCount?) async throws {
        let base = try size.map { _ in try PageBase(path: host.images.path(spec.id, .base)) }
        guard base?.size == size?.bytes else {
            throw Failure(
                .inconsistent, "the guest's earlier image is not the one that was sent", host: host.name.text,
                remedy: "resume the migration")
        }
        let file = try host.images.create(spec.id, .received)
        try say(.ready)
        let deadline = XLCommands.deadline(memory: spec.memory) + .seconds(600)
        let restore = try ChildChannel(
            XLCommands.restorePaused(from: .stream, deadline: deadline), purpose: "the restore of \(spec.domain)")
        do {
            let scrutiny = ImageScrutiny(spec, worker)
            let intake = try ImageIntake(path: file, base: base, restore: restore.input, scrutiny)
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
            // Without its tail 'xl restore' takes down what it has built.
            await restore.end(within: .seconds(60))
            // That the image could not be written on is not the cause then.
            if endedByItself { try await waitForEnd(of: restore, spec) }
            throw error
        }
        try say(.restored)
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

    private func say(_ event: ReceiverEvent) throws {
        try output.write(Array((try JSONText.encode(event) + "\n").utf8), limit: .seconds(30))
    }
}
