import AoE
import HostModel
import Hosts
import Storage

/// What is asked of the wire and of open devices, which tests answer themselves.
struct InitiatorEdges: Sendable {
    /// Asks on the named interfaces, on all of them at the same time, and returns who answers: one target, or everybody.
    var ask: @Sendable (_ interfaces: [String], _ address: AoEAddress?) async throws -> [DiscoveredTarget]
    /// The Ethernet interfaces that are up.
    var interfaces: @Sendable () async throws -> [String]
    /// Whether the kernel or a program has claimed the device for itself.
    var isClaimed: @Sendable (BlockDevice) async throws -> Bool

    static let live = InitiatorEdges(
        ask: { interfaces, address in
            try await withThrowingTaskGroup(of: [DiscoveredTarget].self) { group in
                for name in interfaces {
                    group.addTask { try await Blocking.run("xenlvs.ask.\(name)") { try askOn(name, address) } }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
        },
        interfaces: { Discovery.presentInterfaces },
        isClaimed: { device in try await Blocking.run("xenlvs.claim") { try device.isClaimed() } })

    private static func askOn(_ name: String, _ address: AoEAddress?) throws(Failure) -> [DiscoveredTarget] {
        do throws(Failure) { return try Discovery(on: [name], asking: address).run() } catch {
            throw Failure(error.code, "cannot look for targets on \(name)", why: error.why, remedy: error.remedy)
        }
    }
}
