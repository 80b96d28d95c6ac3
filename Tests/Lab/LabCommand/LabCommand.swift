import ArgumentParser
import LabKit

/// Two or three real Xen hosts on this machine, for tests and for trying things out.
@main
struct LabCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "xenlvs-lab",
        abstract: "Real Xen hosts under QEMU, to test xenlvs on.",
        discussion: "The lab lives in $XENLVS_LAB_DIR (/tmp/xenlvs-lab), its image in $XENLVS_LAB_CACHE.",
        subcommands: [
            Up.self, Down.self, Status.self, Shell.self, Console.self, Power.self, Cut.self, Restore.self, Demo.self,
            Bench.self, BenchISCSI.self, BenchLive.self, LiveChartCommand.self, FaultRun.self, SoakRun.self,
        ])
}

/// A node of the running lab, as people name it.
struct NodeArgument: ParsableArguments {
    @Argument(help: "The node: a, b or c.")
    var node: String

    func resolve() throws -> LabNode { try Lab.attach().node(node) }
}
