import AoE
import HostModel
import Storage

/// A way on which a target answers.
public struct TargetPath: Sendable, Codable, Equatable {
    public var interface: String
    public var mac: String
}

/// What the wire says of one target: everybody who answers for its address, on every interface. Pure.
struct TargetPaths: Sendable, Equatable {
    var address: AoEAddress
    var answers: [DiscoveredTarget]

    init(_ address: AoEAddress, among targets: [DiscoveredTarget]) {
        self.address = address
        answers = targets.filter { $0.address == address }
    }

    var paths: [TargetPath] { answers.map { TargetPath(interface: $0.interface, mac: $0.mac.description) } }

    /// Whether everybody who has answered has also said what it is.
    var isComplete: Bool { !answers.isEmpty && answers.allSatisfy { $0.identity != nil } }

    /// The one device that all paths lead to.
    ///
    /// The kernel takes whoever answers for an address, on any of its interfaces, for another path to the same device, and
    /// sends reads and writes to all of them in turn. So two that differ must never be attached.
    /// - Throws: `.notFound` where nobody answers; `.refused` where the answers differ, are incomplete, or are those of a
    ///   target that Linux cannot use.
    func identity(doing what: String) throws(Failure) -> TargetIdentity {
        if address.isIgnoredByLinux {
            throw Failure(
                .refused, what, why: "Linux ignores targets on shelf 4095", remedy: "export it with another --shelf")
        }
        guard let first = answers.first else {
            throw Failure(
                .notFound, what, why: "nobody answers for \(address)",
                remedy: "see 'xenlvs aoe discover', and on the target's host 'xenlvs exports'")
        }
        var identities: [TargetIdentity] = []
        for answer in answers {
            guard let identity = answer.identity.map({ TargetIdentity($0) }) else {
                throw Failure(
                    .refused, what, why: "\(place(answer)) answers, and does not say what it is",
                    remedy: "see that target: it may let only certain MAC addresses in, or be failing")
            }
            // `maxout = nframes / 2` (addtgt, drivers/block/aoe/aoecmd.c): with one buffer Linux never sends anything.
            guard answer.bufferCount >= 2 else {
                throw Failure(
                    .refused, what, why: "\(place(answer)) has room for one request only, and Linux needs two")
            }
            identities.append(identity)
        }
        if let index = identities.firstIndex(where: { $0 != identities[0] }) {
            throw Failure(
                .refused, what,
                why: "its paths lead to different devices: \(place(first)) has \(identities[0].words), "
                    + "\(place(answers[index])) has \(identities[index].words)",
                remedy: "give one of them another address, or use only the interfaces of one with --interface")
        }
        guard identities[0].size.bytes > 0 else {
            throw Failure(.refused, what, why: "\(place(first)) has no sectors", remedy: "see what it serves")
        }
        return identities[0]
    }

    /// Throws `.refused` where a target says that it answers writes before they are on stable storage: flushes that a cover
    /// takes do not reach it (``FlushCover``).
    func requireNoCache(doing what: String) throws(Failure) {
        guard let answer = answers.first(where: { $0.identity?.hasWriteCache == true }) else { return }
        throw Failure(
            .refused, "\(what) for guests that flush",
            why: "\(place(answer)) has a write cache, which their flushes would not reach",
            remedy: "export it there with --durable; or leave --take-flushes out, for guests that do not flush")
    }

    private func place(_ answer: DiscoveredTarget) -> String { "\(answer.mac) on \(answer.interface)" }
}

/// How a target on the wire stands to what is recorded of it.
public enum TargetVerdict: String, Sendable, Codable, CaseIterable {
    case asRecorded = "as-recorded"
    /// The same device with more sectors.
    case grown
    /// The same device with fewer sectors.
    case shrunk
    /// Another model or serial number.
    case another
    /// Its paths lead to different devices, or to one that Linux cannot use.
    case unusable
    /// Nobody answers.
    case silent

    init(_ identity: TargetIdentity, recorded: TargetIdentity) {
        self.init(isSame: identity.isSameDevice(as: recorded), identity.size, recorded: recorded.size)
    }

    /// - Parameter isSame: whether it is the recorded device, whatever its size.
    init(isSame: Bool, _ size: ByteCount, recorded: ByteCount) {
        if !isSame {
            self = .another
        } else if size == recorded {
            self = .asRecorded
        } else {
            self = size > recorded ? .grown : .shrunk
        }
    }

    /// What to do where the target of `name` answers and is not as recorded.
    /// - Parameter another: where it is another device.
    func remedy(_ name: VolumeName, another: String) -> String? {
        switch self {
        case .asRecorded, .unusable, .silent: nil
        case .grown: "take the new size over with 'xenlvs attachments --revalidate \(name)'"
        case .shrunk: "what lay behind its end is gone: see what is exported, or 'xenlvs detach \(name)'"
        case .another: another
        }
    }
}

/// What the wire says of an attachment's target, with the reason where it is not as recorded. Pure.
struct TargetOpinion: Sendable, Equatable {
    var verdict: TargetVerdict
    var paths: [TargetPath]
    /// Nil where it cannot be told.
    var identity: TargetIdentity?
    var why: String?
    var remedy: String?

    init(_ attachment: Attachment, _ targets: TargetPaths) {
        paths = targets.paths
        do throws(Failure) {
            let found = try targets.identity(doing: "cannot use \(attachment.address)")
            identity = found
            verdict = TargetVerdict(found, recorded: attachment.identity)
            (why, remedy) = Self.explain(verdict, attachment, found)
        } catch {
            verdict = error.code == .notFound ? .silent : .unusable
            (why, remedy) = (error.why ?? error.what, error.remedy)
        }
    }

    private static func explain(
        _ verdict: TargetVerdict, _ attachment: Attachment, _ found: TargetIdentity
    ) -> (String?, String?) {
        let remedy = verdict.remedy(
            attachment.name, another: "see with 'xenlvs aoe discover' who serves \(attachment.address)")
        return (remedy.map { _ in "the target has \(found.words), recorded is \(attachment.identity.words)" }, remedy)
    }
}
