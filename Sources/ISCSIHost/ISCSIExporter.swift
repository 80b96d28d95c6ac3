import Glibc
import HostModel
import Hosts
import ISCSI

/// Serves volumes over iSCSI through the kernel's target: what is asked for is written down, brought about with single
/// writes, and looked at again.
public struct ISCSIExporter: Sendable {
    /// What it has to ask others.
    public struct Questions: Sendable {
        /// The path that a volume's device is opened under.
        public var devicePath: @Sendable (VolumeName) -> String
        /// Throws why a volume must not be served; the flag says that this very target has it open.
        public var scrutiny: @Sendable (VolumeName, _ isServed: Bool) async throws -> Void

        public init(
            devicePath: @escaping @Sendable (VolumeName) -> String,
            scrutiny: @escaping @Sendable (VolumeName, _ isServed: Bool) async throws -> Void
        ) {
            self.devicePath = devicePath
            self.scrutiny = scrutiny
        }
    }

    /// What a change is allowed to do.
    public struct Manner: Sendable {
        /// Sessions that are in the way are ended, after what is under way on them.
        public var drains = false
        /// What cannot be served now is left out and told, instead of stopping everything: for a boot.
        public var isTolerant = false
        /// Where it fails half-way, the former state is brought back.
        public var undoes = false

        public init() {}
    }

    public struct Outcome: Sendable {
        public var writes: [KernelWrite] = []
        /// The exports that were left out.
        public var failures: [Failure] = []
    }

    let kernel: KernelTarget
    let store: ISCSIStore
    let lockPath: String
    let runner: any CommandRunner
    let questions: Questions

    public init(paths: Paths, runner: any CommandRunner, questions: Questions) {
        kernel = KernelTarget()
        store = ISCSIStore(path: Self.recordPath(paths))
        lockPath = paths.run + "/iscsi.lock"
        self.runner = runner
        self.questions = questions
    }

    /// Whether anything was ever exported over iSCSI here, as far as this process may look.
    public static func hasRecord(_ paths: Paths) -> Bool { access(recordPath(paths), R_OK) == 0 }

    private static func recordPath(_ paths: Paths) -> String { paths.state + "/iscsi.json" }

    /// The writes that would lead to `state`, or to what is recorded. Changes nothing.
    public func plan(_ state: ISCSIState? = nil) async throws -> LIODifference {
        var record = try store.load()
        let state = state ?? record.state
        try state.validate()
        var failures: [Failure] = []
        return try await difference(to: state, &record, Manner(), &failures)
    }

    /// Changes what is asked for, and brings it about. Where any of it is wrong nothing is changed.
    public func apply(
        _ manner: Manner = Manner(), _ change: (inout ISCSIState) throws -> Void = { _ in }
    ) async throws -> Outcome {
        try PrivateDirectory.prepare(String(lockPath[..<(lockPath.lastIndex(of: "/") ?? lockPath.startIndex)]))
        let lock = try await FileLock.waiting(
            path: lockPath, purpose: "a change to the iSCSI exports", limit: .seconds(30))
        defer { withExtendedLifetime(lock) {} }
        let former = try store.load()
        var record = former
        try change(&record.state)
        try record.state.validate()
        if !(record.state.exports.isEmpty && record.owned.items.isEmpty) { try await kernel.load(runner) }
        return try await bringAbout(record, former, manner)
    }

    private func bringAbout(
        _ wanted: ISCSIRecord, _ former: ISCSIRecord, _ manner: Manner
    ) async throws -> Outcome {
        var record = wanted
        var outcome = Outcome()
        let plan = try await difference(to: record.state, &record, manner, &outcome.failures)
        try Self.checkSessions(plan, manner)
        outcome.writes = plan.writes

        record.owned = former.owned.joined(with: record.state)
        let intended = record
        if intended != former { try store.save(intended) }
        do {
            try await perform(plan.writes)
            try await checkResult(record, manner)
        } catch {
            let failure = Failure(error, doing: "cannot change the iSCSI exports")
            guard manner.undoes else { throw Self.halfDone(failure) }
            try await undo(to: former, record, failure)
        }
        if outcome.failures.isEmpty {
            record.owned = LIOOwnership().joined(with: record.state)
            if record != intended { try store.save(record) }
        }
        return outcome
    }

    /// The kernel may keep a write waiting for requests that are under way.
    private func perform(_ writes: [KernelWrite]) async throws {
        let kernel = kernel
        try await Blocking.run("xenlvs.iscsi") { for write in writes { try kernel.perform(write) } }
    }

    /// Looks again: whatever still differs is not what was ordered.
    private func checkResult(_ record: ISCSIRecord, _ manner: Manner) async throws {
        var (record, failures) = (record, [Failure]())
        let rest = try await difference(to: record.state, &record, manner, &failures)
        guard rest.isEmpty else {
            throw Failure(
                .inconsistent, "the iSCSI exports are not what was ordered",
                why: "still to do would be: \(rest.writes.prefix(3).map(\.description).joined(separator: "; "))",
                remedy: "find out what else changes the kernel's target, then 'xenlvs apply --recorded'")
        }
    }

    /// Brings the former state back. Always throws: what was asked for did not come about.
    private func undo(to former: ISCSIRecord, _ record: ISCSIRecord, _ failure: Failure) async throws -> Never {
        var (back, failures) = (record, [Failure]())
        back.state = former.state
        do {
            var manner = Manner()
            manner.isTolerant = true
            let plan = try await difference(to: back.state, &back, manner, &failures)
            try await perform(plan.writes)
            back.owned = former.owned
            try store.save(back)
        } catch {
            throw Failure(
                .needsRecovery, "an iSCSI export could not be made, nor undone", remedy: "xenlvs apply --recorded",
                causes: [failure, Failure(error, doing: "cannot bring the former exports back")])
        }
        throw failure
    }

    private static func halfDone(_ failure: Failure) -> Failure {
        Failure(
            .outcomeUnknown, "the iSCSI exports are changed in part",
            remedy: "put right what is told, then repeat the command, or 'xenlvs apply --recorded'", causes: [failure])
    }

    /// Throws `.busy` where the plan would end a session that nobody has allowed it to.
    private static func checkSessions(_ plan: LIODifference, _ manner: Manner) throws(Failure) {
        let ended = plan.changes.flatMap { change in change.endedSessions.map { (change.subject, $0) } }
        guard let first = ended.first, !manner.drains else { return }
        let list = ended.map { subject, session -> String in
            let addresses = session.addresses.joined(separator: ", ")
            return "\(session.initiator) (\(addresses)) on \(subject.dropFirst("iscsi/".count))"
        }
        throw Failure(
            .busy, "cannot change \(first.0.dropFirst("iscsi/".count)) while it is used",
            why: "logged in: \(list.joined(separator: "; "))",
            remedy:
                "detach it there first; '--drain' ends the sessions after what is under way on them, and their hosts "
                + "lose the disk")
    }
}
