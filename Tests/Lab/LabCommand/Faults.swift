import ArgumentParser
import LabKit

/// What can be cut: a network's cable, or just ssh between the nodes.
enum Connection: String, ExpressibleByArgument, CaseIterable {
    case cluster, storage, ssh
}

struct FaultArguments: ParsableArguments {
    @Argument(help: "cluster, storage or ssh.")
    var connection: Connection

    @OptionGroup var target: NodeArgument

    func set(cut: Bool) async throws {
        let lab = try Lab.attach()
        let node = try target.resolve()
        switch connection {
        case .ssh:
            for peer in lab.nodes where peer.letter != node.letter {
                if cut { try await node.cutSSH(to: peer) } else { try await node.restoreSSH(to: peer) }
            }
        case .cluster, .storage:
            let network: LabNetwork = connection == .cluster ? .cluster : .storage
            if cut { try await node.cutLink(network) } else { try await node.restoreLink(network) }
        }
    }
}

struct Cut: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Cut a node off from the other nodes.")

    @OptionGroup var fault: FaultArguments

    func run() async throws { try await fault.set(cut: true) }
}

struct Restore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Undo a cut.")

    @OptionGroup var fault: FaultArguments

    func run() async throws { try await fault.set(cut: false) }
}
