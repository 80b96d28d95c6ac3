import LabKit
import ScenarioKit
import Testing

extension Hosts {
    /// Records everything that is not as it must be after a migration; see `problemsAfterMigration`.
    @discardableResult
    func verifyMigrated(
        _ journey: inout Journey, _ migration: FinishedMigration, from source: LabNode, directory: String? = nil,
        removedSource: Bool = false, verified: Bool = false, others: [Journey] = [], ends: Bool = true,
        at place: SourceLocation = #_sourceLocation
    ) async throws -> GuestConsole {
        let problems = try await problemsAfterMigration(
            &journey, migration, from: source, directory: directory, removedSource: removedSource, verified: verified,
            others: others, ends: ends)
        await record(problems, at: place)
        let console = try await journey.console()
        // Figures for whoever reads the test's log.
        let freezes = migration.report.freezes.map { "\($0.milliseconds)" }.joined(separator: ", ")
        print(
            "\(migration.id) \(source.name) to \(journey.node.name): \(migration.report.totalMilliseconds) ms,",
            "freezes \(freezes) ms, the guest's longest gap \(console.longestGap) ms over \(console.ticks.count) ticks")
        return console
    }

    /// Records everything that is not as it must be after a migration that did not come about; see `problemsAfterReturn`.
    @discardableResult
    func verifyStayed(
        _ journey: inout Journey, _ id: String?, known: Bool = true, directory: String? = nil,
        leavesCopies: Bool = false, hasSwitches: Bool = false, ends: Bool = true,
        at place: SourceLocation = #_sourceLocation
    ) async throws -> GuestConsole {
        let problems = try await problemsAfterReturn(
            &journey, id, known: known, directory: directory, leavesCopies: leavesCopies,
            hasSwitches: hasSwitches, ends: ends)
        await record(problems, at: place)
        return try await journey.console()
    }

    /// Records everything that is not as it must be after swaps; see `problemsOnSwitches`.
    @discardableResult
    func verifySwitched(
        _ journey: inout Journey, ends: Bool = true, at place: SourceLocation = #_sourceLocation
    ) async throws -> GuestConsole {
        await record(try await problemsOnSwitches(&journey, ends: ends), at: place)
        return try await journey.console()
    }

    private func record(_ problems: [String], at place: SourceLocation) async {
        for problem in problems { Issue.record("\(problem)", sourceLocation: place) }
        if !problems.isEmpty { Issue.record("what the hosts showed then:\n\(await state())", sourceLocation: place) }
    }
}
