import Glibc
import HostModel
import Hosts
import ISCSI

/// Serves volumes over iSCSI, through the kernel's target or tgt's: what is asked for is written down, brought about with
/// single orders, and looked at again.
public struct ISCSIExporter: Sendable {
    /// What it has to ask others.
    public struct Questions: Sendable {
        /// The path that a volume's device is opened under.
        public var devicePath: @Sendable (VolumeName) -> String
        /// Throws why a volume must not be served; the flag says that this very target has it open.
        public var scrutiny: @Sendable (ISCSIExport, _ isServed: Bool) async throws -> Void

        public init(
            devicePath: @escaping @Sendable (VolumeName) -> String,
            scrutiny: @escaping @Sendable (ISCSIExport, _ isServed: Bool) async throws -> Void
        ) {
            self.devicePath = devicePath
            self.scrutiny = scrutiny
        }
    }

    /// What a change is allowed to do.
    public struct Manner: Sendable {
        /// Sessions that are in the way are ended, after what is under way on them.
        public var drains = false
        /// What cannot be served now is left as it is and told, instead of stopping everything: for a boot.
        public var isTolerant = false
        /// The same of those exports alone that the change does not touch: for a change of one.
        public var leavesOthers = false
        /// Where it fails half-way, the former state is brought back.
        public var undoes = false
        /// The longest that one order may take. The kernel may keep one waiting for requests that are under way.
        public var limit = Duration.seconds(60)

        public init() {}

        /// The volumes of those exports that may fail to be resolved.
        func tolerated(in state: ISCSIState, after former: ISCSIState) -> Set<VolumeName> {
            guard !isTolerant else { return Set(state.exports.map(\.volume)) }
            guard leavesOthers else { return [] }
            let known = Dictionary(former.exports.map { ($0.volume, $0) }) { first, _ in first }
            return Set(state.exports.filter { known[$0.volume] == $0 }.map(\.volume))
        }
    }

    public struct Outcome: Sendable {
        public var orders: [TargetOrder] = []
        /// Of the exports that were left as they are.
        public var failures: [Failure] = []
    }

    let program: TargetProgram
    let backend: any TargetBackend
    let store: ISCSIStore
    let lockPath: String
    let runner: any CommandRunner
    let questions: Questions
    /// Looks at the device that a volume's link leads to.
    let examine: @Sendable (_ path: String, ISCSIExport) throws -> ExportedDevice

    public init(
        paths: Paths, program: TargetProgram = .lio, runner: any CommandRunner, questions: Questions
    ) {
        let backend: any TargetBackend
        switch program {
        case .lio: backend = KernelBackend(kernel: KernelTarget(), lockPath: paths.run + "/iscsi-kernel.lock")
        case .tgt: backend = TGTDaemon()
        }
        self.init(paths: paths, program: program, backend: backend, runner: runner, questions: questions) {
            try ExportedDevice(at: $0, of: $1)
        }
    }

    /// With another backend and other devices, for tests.
    init(
        paths: Paths, program: TargetProgram = .lio, backend: any TargetBackend, runner: any CommandRunner,
        questions: Questions, examine: @escaping @Sendable (_ path: String, ISCSIExport) throws -> ExportedDevice
    ) {
        self.program = program
        self.backend = backend
        store = ISCSIStore(path: Self.recordPath(paths))
        lockPath = paths.run + "/iscsi.lock"
        self.runner = runner
        self.questions = questions
        self.examine = examine
    }

    /// Whether anything was ever exported over iSCSI here, as far as this process may look.
    public static func hasRecord(_ paths: Paths) -> Bool { access(recordPath(paths), R_OK) == 0 }

    private static func recordPath(_ paths: Paths) -> String { paths.state + "/iscsi.json" }

    /// What was last asked for.
    public func recorded() async throws -> ISCSIState { try store.load().state }

    /// The orders that would lead to `state`, or to what is recorded. Changes nothing.
    public func plan(_ state: ISCSIState? = nil) async throws -> TargetDifference {
        try await checkCanBeRead()
        var record = try loadRecord()
        let state = state ?? record.state
        try state.validate()
        var tolerance = Tolerance()
        return try await difference(to: state, &record, &tolerance)
    }

    /// Changes what is asked for, and brings it about. Where any of it is wrong nothing is changed, but for what the
    /// manner lets be as it is.
    public func apply(
        _ manner: Manner = Manner(), _ change: (inout ISCSIState) throws -> Void = { _ in }
    ) async throws -> Outcome {
        try prepareLocks()
        let lock = try await FileLock.waiting(
            path: lockPath, purpose: "a change to the iSCSI exports", limit: .seconds(30))
        defer { withExtendedLifetime(lock) {} }
        try await backend.checkIsFree()
        let former = try loadRecord()
        var record = former
        try change(&record.state)
        try record.state.validate()
        if !record.state.exports.isEmpty { try await backend.prepare(runner) }
        return try await bringAbout(record, former, manner)
    }

    private func bringAbout(
        _ wanted: ISCSIRecord, _ former: ISCSIRecord, _ manner: Manner
    ) async throws -> Outcome {
        var record = wanted
        var tolerance = Tolerance(of: manner.tolerated(in: wanted.state, after: former.state))
        let plan = try await difference(to: record.state, &record, &tolerance)
        try Self.checkSessions(plan, manner)

        record.program = program == .lio ? nil : program
        record.owned = former.owned.joined(with: record.state)
        let intended = record
        if intended != former { try store.save(intended) }
        do {
            try await backend.perform(plan.orders, limit: manner.limit)
            try await checkResult(record, Tolerance(of: tolerance.volumes))
        } catch {
            let failure = Failure(error, doing: "cannot change the iSCSI exports")
            // Behind a write that has not ended there is nothing to be looked at, or undone.
            guard manner.undoes, failure.code != .outcomeUnknown else { throw Self.halfDone(failure) }
            try await undo(to: former, record, failure)
        }
        record.owned = LIOOwnership().joined(with: record.state)
        record.owned.items.formUnion(tolerance.left)
        if record != intended { try store.save(record) }
        return Outcome(orders: plan.orders, failures: tolerance.failures)
    }

    /// The record. Throws `.refused` where something else than this host's target program serves what is in it.
    func loadRecord() throws(Failure) -> ISCSIRecord {
        let record = try store.load()
        let former = record.program ?? .lio
        guard former == program || record.owned.items.isEmpty else {
            throw Failure(
                .refused, "the iSCSI exports cannot be looked at",
                why: "they were made with 'iscsi_target: \(former.rawValue)', and xenlvs.yaml has \(program.rawValue)",
                remedy: "put \(former.rawValue) back, end the exports, and change it then")
        }
        return record
    }

    private func prepareLocks() throws {
        try PrivateDirectory.prepare(String(lockPath[..<(lockPath.lastIndex(of: "/") ?? lockPath.startIndex)]))
    }

    /// Throws `.busy` where a write of an earlier command has not ended.
    func checkCanBeRead() async throws {
        try prepareLocks()
        do {
            let lock = try FileLock(path: lockPath, purpose: "a change to the iSCSI exports")
            defer { withExtendedLifetime(lock) {} }
            try await backend.checkIsFree()
        } catch let failure as Failure where failure.code == .busy && failure.what.hasPrefix("a change to") {
            // A command is at work, and takes care of its own writes.
        }
    }

    /// Looks again: whatever still differs is not what was ordered.
    private func checkResult(_ record: ISCSIRecord, _ tolerance: Tolerance) async throws {
        var (record, tolerance) = (record, tolerance)
        let rest = try await difference(to: record.state, &record, &tolerance)
        guard rest.isEmpty else {
            throw Failure(
                .inconsistent, "the iSCSI exports are not what was ordered",
                why: "still to do would be: \(rest.orders.prefix(3).map(\.description).joined(separator: "; "))",
                remedy: "find out what else changes its targets, then 'xenlvs apply --recorded'")
        }
    }

    /// Brings the former state back. Always throws: what was asked for did not come about.
    private func undo(to former: ISCSIRecord, _ record: ISCSIRecord, _ failure: Failure) async throws -> Never {
        var (back, tolerance) = (record, Tolerance(of: Set(former.state.exports.map(\.volume))))
        back.state = former.state
        do {
            let plan = try await difference(to: back.state, &back, &tolerance)
            try await backend.perform(plan.orders, limit: Manner().limit)
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
    private static func checkSessions(_ plan: TargetDifference, _ manner: Manner) throws(Failure) {
        let ended = plan.changes.flatMap { change in change.endedSessions.map { (change.subject, $0) } }
        guard let first = ended.first, !manner.drains else { return }
        let list = ended.map { subject, session -> String in
            let addresses = session.addresses.joined(separator: ", ")
            return "\(session.initiator) (\(addresses)) on \(subject)"
        }
        throw Failure(
            .busy, "cannot change \(first.0) while it is used",
            why: "logged in: \(list.joined(separator: "; "))",
            remedy:
                "detach it there first; '--drain' ends the sessions after what is under way on them, and their hosts "
                + "lose the disk")
    }
}
