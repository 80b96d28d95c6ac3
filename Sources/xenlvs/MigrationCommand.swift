import ArgumentParser
import HostModel
import Hosts
import Migration
import Operations
import Reporting

struct MigrationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migration", abstract: "Look at, continue or take back migrations.",
        subcommands: [
            List.self, Status.self, Resume.self, Abort.self, Resolve.self, Report.self,
        ])

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resume", abstract: "Continue a migration that has stopped.",
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
            commandName: "abort",
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

    struct Resolve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "resolve", abstract: "End a migration whose other host is lost for good.",
            discussion: """
                Only for who knows that the other host is dead, or fenced so that it cannot come back by itself: this host \
                then ends the migration alone, on nobody's word but yours. Refused while the other host answers over ssh. \
                Killed half-way, it is typed again.

                On the source: until the guest belongs to the target it is brought back. After that its disks become plain \
                volumes again, where they are complete, and the guest is not started: it was lost with the target.

                On the target: a guest that is there whole, on complete data, is finished and runs. Of one that is not, the \
                disks are kept as volumes, complete ones with links. Notes say what there is and how to start the guest.

                Exit codes: 0 the migration has ended, see the report; 1 refused or failed, nothing changed; 3 partly done: \
                type it again; 4 needs recovery: a step has failed, type it again when the cause is gone; 5 busy; 6 not \
                found; 64 usage.
                """)
        @Argument(help: "The migration's identifier.") var id: String
        @Option(name: .customLong("fenced"), help: "The other host, which is dead, by its name in the migration.")
        var host: String

        func run() async throws {
            try await reporting {
                try await MigrationRunner().resolve(try MigrationID(id), fenced: try HostName(host))
            }
        }
    }
}
