import ArgumentParser
import HostModel

/// The whole command line.
///
/// Every command has its name in its configuration: for one that has none, ArgumentParser asks Swift at each start how its type
/// describes itself, which is a search among all conformances of the program. For 26 of them that was half of a start's work.
struct XenlvsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "xenlvs",
        abstract: "Provision network storage for Xen hosts, and hand it over while the guests keep running.",
        discussion: """
            Exit codes: 0 done, or nothing to do; 1 failed, nothing changed; 2 failed, rolled back; 3 partly done, resume; \
            4 needs recovery; 5 busy; 6 not found; 64 usage; 130 interrupted.
            """,
        version: Version.text,
        subcommands: [
            MigrateCommand.self, MigrationCommand.self, SwapCommand.self, VolumeCommand.self, LinkCommand.self,
            DomainCommand.self,
            ReplicaCommand.self, ExportCommand.self, UnexportCommand.self, ExportsCommand.self, ApplyCommand.self,
            PlanCommand.self, AttachCommand.self, DetachCommand.self, AttachmentsCommand.self, MultipathCommand.self,
            ShareCommand.self, UnshareCommand.self, SharesCommand.self, AoECommand.self, ISCSICommand.self,
            DoctorCommand.self, RecoverCommand.self, AgentCommand.self,
        ])
}
