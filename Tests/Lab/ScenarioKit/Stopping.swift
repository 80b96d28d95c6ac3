import Foundation
import LabKit

/// A place in a migration, by the raw value of the product's `Step`: `before` nothing of the step was done, `after` it was and
/// the journal does not know it.
package typealias Place = String

extension Hosts {
    /// Runs a command of the product on `node` that kills itself at `place`.
    package func crash(_ command: String, at place: Place, on node: LabNode) async throws {
        let result = try await node.run("XENLVS_CRASH_AT=\(place) \(command)", timeout: Self.limit, check: false)
        guard result.exit == 137 else {
            throw ScenarioError("not killed at \(place), but exit \(result.exit): \(command)\n\(result.stderr)")
        }
    }

    /// Starts a command of the product on `node` that stops at `place`, and waits until it has; `letGo` lets it go on.
    package func stop(_ command: String, at place: Place, on node: LabNode) async throws -> LabProcess {
        let running = try await node.start("XENLVS_STOP_AT=\(place) \(command)")
        let isStopped = """
            for process in $(pgrep -x xenlvs); do grep -q '^State:.T' /proc/$process/status && exit 0; done; exit 1
            """
        try await waitUntil("\(command) to stop at \(place)", within: Self.limit, every: .milliseconds(300)) {
            if try await node.run(isStopped, check: false).exit == 0 { return true }
            guard running.isRunning else {
                throw ScenarioError("\(command) did not stop at \(place): \(running.errors)")
            }
            return false
        }
        return running
    }

    /// Kills the command as soon as an `xl` with this verb runs on `node`, which is left to itself.
    package func kill(_ command: String, during verb: String, on node: LabNode) async throws {
        let script = """
            \(command) >/dev/null 2>&1 & run=$!
            for i in $(seq 6000); do pgrep -f "^[^ ]*xl \(verb)" >/dev/null && break; sleep 0.05; done
            kill -KILL $run; wait $run
            """
        let result = try await node.run(script, timeout: Self.limit, check: false)
        guard result.exit == 137 else { throw ScenarioError("\(command) ended with \(result.exit) before \(verb)") }
    }

    /// Starts a migration, slowly, and waits until DRBD copies. Returns the migration's identifier too.
    package func beginSynchronising(
        _ domain: String, from source: LabNode, bandwidth: String
    ) async throws -> (run: LabProcess, id: String) {
        let running = try await beginMigrating(domain, from: source, "--bandwidth", bandwidth, "--seed", "replica")
        let id = try await waitForPhase("synchronise", of: domain, on: source)
        try await source.run("until grep -q cs:SyncSource /proc/drbd; do sleep 0.2; done")
        return (running, id)
    }

    /// The hosts on which the guest's virtual CPUs may run now, of those that are switched on.
    package func hostsRunning(_ guest: LabGuest) async throws -> [String] {
        var names: [String] = []
        for node in all where node.isPoweredOn {
            if LabNode.isRunning(try await node.guests()[guest.name]) { names.append(node.name) }
        }
        return names
    }

    /// What the newest migration of the domain is called.
    package func identifier(of domain: String, on node: LabNode) async throws -> String {
        guard let row = try await newestMigration(of: domain, on: node) else {
            throw ScenarioError("\(node.name) knows of no migration of \(domain)")
        }
        return row.id
    }
}

extension LabProcess {
    /// Lets a stopped command go on.
    package func letGo() async throws { try await signal("CONT") }
}

extension Hosts {
    /// Takes a migration back.
    package func abort(_ id: String, on node: LabNode) async throws { _ = try await proceed("abort", id, on: node) }
}
