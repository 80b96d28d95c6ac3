import Foundation
import LabKit
import ScenarioKit
import Testing

/// All scenarios: one after the other on the one pair of hosts. Each suite is an extension of this.
@Suite("On two real Xen hosts", .serialized)
struct Scenarios {}

/// Runs one scenario on hosts that hold nothing, and leaves them so. A failure comes with what both hosts then showed.
func scenario(_ body: (Hosts) async throws -> Void) async throws {
    try Test.cancelWhereLate()
    let hosts = try await Hosts.clean()
    do {
        try await body(hosts)
    } catch {
        Issue.record("what the hosts showed when it failed:\n\(await hosts.state())")
        throw error
    }
    try await hosts.reset()
}
