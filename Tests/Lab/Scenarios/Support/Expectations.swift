import LabKit
import ScenarioKit
import Testing

extension Hosts {
    /// Records it where the guest does not run on exactly the given hosts.
    func expectRunning(
        _ guest: LabGuest, on nodes: [LabNode], _ when: String, at place: SourceLocation = #_sourceLocation
    ) async throws {
        let found = try await hostsRunning(guest)
        #expect(found == nodes.map(\.name), "\(guest.name) runs on \(found) \(when)", sourceLocation: place)
    }

    /// Waits for a command in the background and checks how it ended.
    func end(
        _ running: LabProcess, expecting exit: Int32, saying words: [String] = [],
        at place: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await running.wait(timeout: Self.limit)
        guard result.exit == exit else {
            throw ScenarioError("exit \(result.exit), not \(exit)\n\(result.stderr)\n\(result.stdout)")
        }
        for word in words {
            #expect(
                (result.stderr + result.stdout).contains(word), "'\(word)' was not said: \(result.stderr)",
                sourceLocation: place)
        }
    }
}

extension LabNode {
    /// How much has been written to an attached target, as its block device counts it.
    func sectorsWritten(overAoE address: String) async throws -> Int {
        Int(try await run("awk '{ print $7 }' '/sys/block/etherd!\(address)/stat'").text) ?? 0
    }
}
