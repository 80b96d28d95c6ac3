import HostModel
import Hosts
import ISCSI
import Storage
import Synchronization

/// Brings paths back that maps of attachments have to do without, beside whatever else the process does: a login that was not
/// possible at boot, which open-iscsi does not try again, and a disk that grew while its path was down.
///
/// Only where the map stands, by another path: what is not there at all is `ISCSIAttachmentRecovery`'s, which asks the target
/// before. Here, as where open-iscsi brings a lost session back, the kernel logs in at once; its disk comes into the map only
/// where it is the recorded one, and is logged out otherwise.
final class MissingPaths: Sendable {
    private struct State {
        var isUnderWay = false
        /// When the next round may begin.
        var next = ContinuousClock.now
        /// What was said last of each path.
        var complaints: [String: String] = [:]
        /// Until when a path is left alone whose login, or whose disk, was refused: that does not pass by itself.
        var resting: [String: ContinuousClock.Instant] = [:]
    }

    /// After a round: no other command can log in while a portal is waited for that does not answer, up to half a minute each.
    private static let pause = Duration.seconds(60)
    private static let rest = Duration.seconds(600)
    /// For a disk to appear after its login.
    private static let deviceLimit = Duration.seconds(20)
    /// For the disk to come into the map.
    private static let mapLimit = Duration.seconds(5)

    private let tree: DeviceTree
    private let say: @Sendable (String) -> Void
    private let open: @Sendable () throws -> HostContext?
    private let state = Mutex(State())

    /// - Parameters:
    ///   - say: told of what an operator should know.
    ///   - open: gives the host, whose journal has the attachments; nil where it has no journal.
    init(
        tree: DeviceTree = DeviceTree(), say: @escaping @Sendable (String) -> Void,
        open: @escaping @Sendable () throws -> HostContext?
    ) {
        self.tree = tree
        self.say = say
        self.open = open
    }

    /// Begins a round where one is due, and does not wait for it.
    func beginWhereDue() {
        let begins = state.withLock { state -> Bool in
            guard !state.isUnderWay, state.next <= ContinuousClock.now else { return false }
            state.isUnderWay = true
            return true
        }
        guard begins else { return }
        Task { [self] in
            await round()
            state.withLock { state in
                state.isUnderWay = false
                state.next = ContinuousClock.now + Self.pause
            }
        }
    }

    /// Tries every missing path once, but none by a portal that has just given no answer.
    func round() async {
        // Where there is no session no map stands, and the journal need not be opened.
        guard !ISCSISession.all(in: tree).isEmpty else { return }
        do {
            guard let host = try open() else { return }
            var silent: Set<String> = []
            for attachment in try host.iscsiAttachments() where attachment.isMultipath {
                for path in attachment.paths where !silent.contains(path.words) {
                    if await !isReachable(path, of: attachment, on: host) { silent.insert(path.words) }
                }
            }
        } catch {
            complain("", "missing paths are not looked for: \(Failure(error, doing: "cannot look").description)")
        }
    }

    /// Tries one path, where it is missing.
    /// - Returns: false where its portal gives no answer.
    private func isReachable(_ path: ISCSIPath, of attachment: ISCSIAttachment, on host: HostContext) async -> Bool {
        let key = "\(attachment.name): the path \(path.words)"
        guard isMissing(path, of: attachment, on: host) else {
            if forget(key) { say("\(key) is back") }
            return true
        }
        if let rest = state.withLock({ $0.resting[key] }), rest > ContinuousClock.now { return true }
        let hadSession = OpenISCSI(host: host).session(path, of: attachment) != nil
        do {
            let isBack = try await OpenISCSI.holding(host) {
                // Another command may have given it back, or brought the path back.
                let isThere = try host.iscsiAttachments().contains(attachment)
                guard isThere, isMissing(path, of: attachment, on: host) else { return false }
                try await rejoin(path, of: attachment, on: host)
                try await waitForMap(path, of: attachment, on: host)
                return true
            }
            _ = forget(key)
            if isBack { say("\(key) is back") }
            return true
        } catch {
            let failure = Failure(error, doing: "cannot begin its session")
            // What had a session, and is to have another one, gets that in the next round.
            if failure.code == .refused, !hadSession {
                state.withLock { $0.resting[key] = ContinuousClock.now + Self.rest }
            }
            complain(key, "\(key) is missing: \(failure.description)")
            return failure.code != .unreachable
        }
    }

    private func isMissing(_ path: ISCSIPath, of attachment: ISCSIAttachment, on host: HostContext) -> Bool {
        guard ISCSIDevice.read(attachment, in: host.tree) != nil else { return false }
        guard let session = OpenISCSI(host: host).session(path, of: attachment) else { return true }
        // One that has stood open-iscsi begins again by itself.
        guard session.isUp else { return false }
        return session.disks(of: attachment).contains {
            $0.isRunning && ISCSIDevice.leavesOut($0, attachment, in: host.tree)
        }
    }

    private func rejoin(_ path: ISCSIPath, of attachment: ISCSIAttachment, on host: HostContext) async throws {
        let initiator = OpenISCSI(host: host)
        let hadSession = initiator.session(path, of: attachment) != nil
        do {
            try await ISCSIBringUp(host: host).rejoin(path, of: attachment, deadline: .now + Self.deviceLimit)
        } catch {
            // Also where the kernel keeps a disk's former size although it was asked again, as it does for a process that may
            // not write below /sys: a new session shows what the disk is.
            let isRefused = (error as? Failure)?.code == .refused
            if let session = initiator.session(path, of: attachment), !hadSession || isRefused, isUnused(session) {
                try await initiator.logout(session)
            }
            throw error
        }
    }

    /// multipathd takes a disk once udev has told it of it.
    private func waitForMap(_ path: ISCSIPath, of attachment: ISCSIAttachment, on host: HostContext) async throws {
        let deadline = ContinuousClock.now + Self.mapLimit
        while isMissing(path, of: attachment, on: host) {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .failed, "its disk is there, and has not come into the map",
                    remedy: "see 'multipath -ll' and the log of multipathd")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Whether nothing is built on a session's disks, and none is mounted.
    private func isUnused(_ session: ISCSISession) -> Bool {
        session.disks.compactMap { $0.blockDevice(in: tree) }.allSatisfy { disk in
            (try? disk.holders().isEmpty && disk.mountPoints().isEmpty) ?? false
        }
    }

    private func complain(_ key: String, _ text: String) {
        let isNew = state.withLock { state -> Bool in
            defer { state.complaints[key] = text }
            return state.complaints[key] != text
        }
        if isNew { say(text) }
    }

    /// Whether it was said that it is missing.
    private func forget(_ key: String) -> Bool {
        state.withLock { state -> Bool in
            state.resting[key] = nil
            return state.complaints.removeValue(forKey: key) != nil
        }
    }
}
