import ArgumentParser
import HostModel
import Hosts
import Migration
import Operations
import Reporting

struct MigrationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migration", abstract: "Look at, continue or take back migrations.",
        subcommands: [List.self, Status.self, Resume.self, Abort.self, Report.self])

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Continue a migration that has stopped.",
            discussion: """
                Can be asked of either host; the source drives it. What has been done is found, not repeated.

                \(ExitCodeHelp.migrating)
                """)
        @Argument(help: "The migration's identifier.") var id: String

        func run() async throws {
            try await reporting { try await MigrationRunner().proceed(try MigrationID(id), .resumed) }
        }
    }

    struct Abort: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring the domain back to the source; possible until it belongs to the target.",
            discussion: """
                Can be asked of either host; the source drives it. Here 0 says that the domain is back as it was.

                \(ExitCodeHelp.migrating)
                """)
        @Argument(help: "The migration's identifier.") var id: String

        func run() async throws {
            try await reporting {
                let status = try await MigrationRunner().proceed(try MigrationID(id), .abortRequested)
                // Here going back is what was asked for.
                return status == .rolledBack ? .done : status
            }
        }
    }
}
