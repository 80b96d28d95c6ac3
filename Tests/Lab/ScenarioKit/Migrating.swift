import Foundation
import LabKit

/// A migration that has ended, one way or the other: what was printed, and its report.
package struct FinishedMigration: Sendable {
    package let exit: Int32
    package let stdout: String
    package let stderr: String
    package let report: MigrationDocument

    package var id: String { report.id }
}

extension Hosts {
    /// How long one migration may take on a slow machine.
    package static let limit = Duration.seconds(420)

    /// Migrates a domain from `source` to the other host and waits for the end.
    ///
    /// - Parameter exit: the exit code that is expected; any other one throws, with all that was printed.
    package func migrate(
        _ domain: String, from source: LabNode, _ options: String..., expecting exit: Int32 = 0
    ) async throws -> FinishedMigration {
        let command = migrateCommand(domain, from: source, options)
        let result = try await source.run(command, timeout: Self.limit, check: false)
        return try await finished(domain, on: source, result, command, expecting: exit)
    }

    /// Starts a migration that goes on in the background.
    package func beginMigrating(_ domain: String, from source: LabNode, _ options: String...) async throws -> LabProcess
    {
        try await source.start(migrateCommand(domain, from: source, options))
    }

    /// Continues (`resume`) or takes back (`abort`) a migration from `node` and waits for the end.
    package func proceed(
        _ verb: String, _ id: String, on node: LabNode, expecting exit: Int32 = 0
    ) async throws -> FinishedMigration {
        let command = "xenlvs migration \(verb) \(id)"
        let result = try await node.run(command, timeout: Self.limit, check: false)
        guard result.exit == exit else { throw Self.unexpected(result, command, exit) }
        return FinishedMigration(
            exit: result.exit, stdout: result.stdout, stderr: result.stderr, report: try await node.report(id))
    }

    /// The newest migration of a domain in a host's journal; nil where there is none.
    package func newestMigration(of domain: String, on node: LabNode) async throws -> MigrationRow? {
        try await node.migrations().first { $0.domain == domain }
    }

    /// Waits until the newest migration of a domain is in `phase`, such as "synchronise", and returns its identifier.
    @discardableResult
    package func waitForPhase(
        _ phase: String, of domain: String, on node: LabNode, within limit: Duration = .seconds(180)
    ) async throws -> String {
        var seen = "no migration"
        var id = ""
        try await waitUntil(
            "\(domain) to be in \(phase)", within: limit, evidence: { seen },
            condition: {
                guard let row = try await newestMigration(of: domain, on: node) else { return false }
                let report = try await node.report(row.id)
                id = row.id
                seen = "\(report.outcome.state), \(report.phases.map { "\($0.phase) \($0.state)" })"
                guard report.outcome.state == "running" || report.phases.last?.phase == phase else {
                    throw ScenarioError("the migration of \(domain) ended before \(phase): \(seen)")
                }
                return report.phases.last.map { $0.phase == phase && $0.state == "running" } ?? false
            })
        return id
    }

    package func finished(
        _ domain: String, on source: LabNode, _ result: RunResult, _ command: String, expecting exit: Int32
    ) async throws -> FinishedMigration {
        guard result.exit == exit else { throw Self.unexpected(result, command, exit) }
        guard let row = try await newestMigration(of: domain, on: source) else {
            throw ScenarioError("\(source.name) knows of no migration of \(domain) after: \(command)")
        }
        return FinishedMigration(
            exit: result.exit, stdout: result.stdout, stderr: result.stderr, report: try await source.report(row.id))
    }

    private func migrateCommand(_ domain: String, from source: LabNode, _ options: [String]) -> String {
        (["xenlvs", "migrate", domain, "--to", peer(of: source).name] + options).joined(separator: " ")
    }

    private static func unexpected(_ result: RunResult, _ command: String, _ exit: Int32) -> ScenarioError {
        ScenarioError("exit \(result.exit), not \(exit): \(command)\n\(result.stderr)\n\(result.stdout)")
    }
}

extension LabNode {
    /// A migration as this host's journal has it.
    package func report(_ id: String) async throws -> MigrationDocument {
        let text = try await run("xenlvs migration report \(id) --format json").stdout
        return try JSONDecoder().decode(MigrationDocument.self, from: Data(text.utf8))
    }

    /// The migrations in this host's journal, the newest first.
    package func migrations() async throws -> [MigrationRow] {
        let text = try await run("xenlvs migration list --format json").stdout
        return try JSONDecoder().decode([MigrationRow].self, from: Data(text.utf8))
    }
}
