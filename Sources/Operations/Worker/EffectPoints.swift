import HostModel
import Migration
import Storage
import Synchronization

/// Counts what each step changes outside this process, and ends the process there, or around the step, where a test asks for
/// it; see ``CrashPoint``.
public final class EffectPoints: Sendable {
    private let points: [CrashPoint]
    private let position = Mutex<(step: Step?, number: Int)>((nil, 0))

    public init(_ points: [CrashPoint] = []) { self.points = points }

    /// The step itself is about to be performed, or was.
    func pass(_ step: Step, _ moment: CrashPoint.Moment) {
        for point in points { point.pass(step.rawValue, moment) }
    }

    /// The same for a step of a swap.
    func pass(_ step: SwapStep, _ moment: CrashPoint.Moment) {
        for point in points { point.pass(step.rawValue, moment) }
    }

    /// The same for a step of a checkpoint.
    func pass(_ step: CheckpointStep, _ moment: CrashPoint.Moment) {
        for point in points { point.pass(step.rawValue, moment) }
    }

    /// A step begins: its effects are counted anew.
    func enter(_ step: Step) { position.withLock { $0 = (step, 0) } }

    /// Something is changed by `body`. What runs beside it is counted in the order in which it begins.
    func around<Result>(_ body: () throws -> Result) rethrows -> Result {
        let place = begin()
        let result = try body()
        pass(place, .after)
        return result
    }

    /// Notes that an effect begins; `pass` with what this returns tells that it is there.
    func begin() -> (step: Step?, number: Int) {
        let place = position.withLock { position in
            position.number += 1
            return position
        }
        pass(place, .before)
        return place
    }

    func pass(_ place: (step: Step?, number: Int), _ moment: CrashPoint.Moment) {
        guard let step = place.step else { return }
        for point in points { point.pass(step.rawValue, effect: place.number, moment) }
    }
}

/// What steps change without a command. Each is an effect of the step that is being performed.
extension HostContext {
    func setLink(_ name: VolumeName, to device: String) throws {
        try effects.around { try links.set(name, to: device) }
    }

    func removeLink(_ name: VolumeName) throws {
        try effects.around { _ = try links.remove(name) }
    }

    func markSpent(_ id: MigrationID, _ purpose: SavedImages.Purpose) throws {
        try effects.around { try images.markSpent(id, purpose) }
    }

    func spendAll(_ id: MigrationID) throws {
        try effects.around { try images.spendAll(id) }
    }
}

/// A runner whose mutations are effects of the step that is being performed.
struct EffectRunner: CommandRunner {
    let runner: any CommandRunner
    let effects: EffectPoints

    @discardableResult
    func run(_ command: Command) async throws -> CommandResult {
        try await around(command) { try await runner.run(command) }
    }

    @discardableResult
    func run(_ command: Command, input: Int32) async throws -> CommandResult {
        try await around(command) { try await runner.run(command, input: input) }
    }

    private func around(_ command: Command, _ body: () async throws -> CommandResult) async throws -> CommandResult {
        switch command.effect {
        case .query: return try await body()
        case .mutation:
            let place = effects.begin()
            let result = try await body()
            effects.pass(place, .after)
            return result
        }
    }

    /// What is listened to while it runs ends in a later step: only its beginning is a place.
    func run(_ command: Command, hearing: @escaping @Sendable (String) -> Void) async throws -> CommandResult {
        if command.effect == .mutation { _ = effects.begin() }
        return try await runner.run(command, hearing: hearing)
    }
}
