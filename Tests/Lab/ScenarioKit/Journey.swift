import LabKit

/// A guest on its way between hosts, and all that it has printed, in the order in which it was printed.
///
/// A line that the guest had printed half when it was saved goes on in the other host's log, so that the logs are put
/// together as text.
package struct Journey: Sendable {
    package let guest: LabGuest
    package private(set) var node: LabNode
    /// Whether it is on another host than it began on.
    package private(set) var hasMoved = false
    /// Whether stamped blocks lie behind its file systems.
    package let isStamped: Bool
    /// One, and one more for each loss of its memory.
    package private(set) var expectedBoots = 1
    private var text = ""
    private var taken: [String: Int] = [:]

    package init(of guest: LabGuest, from node: LabNode, isStamped: Bool = true) {
        self.isStamped = isStamped
        self.guest = guest
        self.node = node
    }

    /// Takes note that the guest is on `destination` now.
    package mutating func arrived(on destination: LabNode) async throws {
        try await collect()
        node = destination
        hasMoved = true
    }

    /// Takes note of the host that the guest belongs to, whichever hosts have a domain of its name: one that has arrived and waits for
    /// a decision may never run.
    package mutating func belongs(to owner: LabNode) async throws {
        if owner.name != node.name { try await arrived(on: owner) }
        try await collect()
    }

    /// Takes note of where the guest is, by what the hosts show; where none has it, it stays where it was.
    package mutating func follow(_ hosts: Hosts) async throws {
        try await collect()
        for other in hosts.all where other.name != node.name && other.isPoweredOn {
            guard try await other.guests()[guest.name] != nil else { continue }
            try await arrived(on: other)
            try await collect()
        }
    }

    /// Takes note that it was shut down and started again.
    package mutating func bootsAgain() { expectedBoots += 1 }

    /// Starts a guest that has lost its memory with its host, from its disk on `destination`.
    package mutating func startedAgain(on destination: LabNode, _ hosts: Hosts) async throws {
        try await follow(hosts)
        // What it was printing when the power went has no end.
        text += "\n"
        expectedBoots += 1
        if destination.name != node.name { try await arrived(on: destination) }
        let before = try await destination.console(of: guest).ticks.count
        try await destination.run("xl create -q \(guest.configurationPath)", timeout: .seconds(120))
        try await destination.waitForTicks(of: guest, beyond: before + 3)
    }

    /// For a guest that is shut down by what is done with it: as many boots are expected as it shows, and no more than its
    /// beginning, its orderly ends and its hosts' `losses` of power explain.
    package mutating func expectBootsAsExplained(losses: Int) async throws {
        let console = try await console()
        expectedBoots = min(console.boots.count, 1 + console.endings + losses)
    }

    /// What `other`, on which the guest is not, has got in its log of it is not the guest's. Returns how many numbers that were.
    package mutating func leaveOut(what other: LabNode) async throws -> Int {
        let text = try await unread(on: other)
        taken[other.name, default: 0] += text.utf8.count
        return GuestConsole(text).ticks.count
    }

    /// All that the guest has printed up to now.
    package mutating func console() async throws -> GuestConsole {
        try await collect()
        return GuestConsole(text)
    }

    /// Waits for `count` more ticks on the host that the guest is on.
    package func goesOn(for count: Int = 5) async throws {
        let before = try await node.console(of: guest).ticks.count
        try await node.waitForTicks(of: guest, beyond: before + count)
    }

    private mutating func collect() async throws {
        guard node.isPoweredOn else { return }
        let new = try await unread(on: node)
        taken[node.name, default: 0] += new.utf8.count
        text += new
    }

    private func unread(on node: LabNode) async throws -> String {
        let from = taken[node.name, default: 0] + 1
        return try await node.run("tail -c +\(from) \(guest.consolePath) 2>/dev/null || true").stdout
    }
}
