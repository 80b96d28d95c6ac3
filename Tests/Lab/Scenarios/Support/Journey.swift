import LabKit

/// A guest on its way between hosts, and all that it has printed, in the order in which it was printed.
///
/// A line that the guest had printed half when it was saved goes on in the other host's log, so that the logs are put
/// together as text.
struct Journey: Sendable {
    let guest: LabGuest
    private(set) var node: LabNode
    /// Whether it is on another host than it began on.
    private(set) var hasMoved = false
    private var text = ""
    private var taken: [String: Int] = [:]

    init(of guest: LabGuest, from node: LabNode) {
        self.guest = guest
        self.node = node
    }

    /// Takes note that the guest is on `destination` now.
    mutating func arrived(on destination: LabNode) async throws {
        try await collect()
        node = destination
        hasMoved = true
    }

    /// All that the guest has printed up to now.
    mutating func console() async throws -> GuestConsole {
        try await collect()
        return GuestConsole(text)
    }

    /// Waits for `count` more ticks on the host that the guest is on.
    func goesOn(for count: Int = 5) async throws {
        let before = try await node.console(of: guest).ticks.count
        try await node.waitForTicks(of: guest, beyond: before + count)
    }

    private mutating func collect() async throws {
        let from = taken[node.name, default: 0]
        let new = try await node.run("tail -c +\(from + 1) \(guest.consolePath) 2>/dev/null || true").stdout
        taken[node.name] = from + new.utf8.count
        text += new
    }
}
