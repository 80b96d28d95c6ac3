import ArgumentParser
import Foundation
import LabKit

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Start the lab with fresh disks, if it is not running.")

    @Argument(help: "The nodes, of a, b and c.")
    var nodes = ["a", "b"]

    func run() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let lab = try await Lab.up(nodes: nodes)
        let seconds = (clock.now - start).components.seconds
        let names = lab.nodes.map(\.name).joined(separator: " ")
        print("\(names) ready after \(seconds) s, on \(lab.accelerator.rawValue)")
        print("shell: xenlvs-lab ssh a, or ssh -F \(lab.sshConfiguration.path) nodea")
    }
}

struct Down: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "End the lab and remove its disks.")

    func run() async throws { try await Lab.down() }
}

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Say what runs.")

    func run() async throws {
        let lab = try Lab.attach()
        print("\(lab.directory.path) on \(lab.accelerator.rawValue)")
        for node in lab.nodes {
            guard node.isPoweredOn else {
                print("\(node.name)  off")
                continue
            }
            let script = "cat /run/lab-ready 2>/dev/null || echo not ready; xl list | tail -n +3 | cut -d ' ' -f 1"
            let words = try await node.run(script, timeout: .seconds(20), check: false).text.split(separator: "\n")
            print("\(node.name)  on  \(words.isEmpty ? "no answer" : words.joined(separator: "  "))")
        }
    }
}

struct Power: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Cut a node's power, or switch it on and wait for it.")

    enum Switch: String, ExpressibleByArgument { case on, off }

    @Argument(help: "on or off.")
    var position: Switch

    @OptionGroup var target: NodeArgument

    func run() async throws {
        let node = try target.resolve()
        switch position {
        case .off: try await node.powerOff()
        case .on:
            try await node.powerOn()
            try await node.waitUntilReady()
        }
    }
}
