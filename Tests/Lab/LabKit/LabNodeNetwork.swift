/// Faults of the networks between the nodes. The management connection, over which these commands come, is never cut.
extension LabNode {
    /// Pulls the cable between this node and `peer` (or every peer): both ends lose what is sent from now on.
    public func cutLink(_ network: LabNetwork, to peer: LabNode? = nil) async throws {
        try await setLink(network, peer, up: false)
    }

    /// Puts the cable back.
    public func restoreLink(_ network: LabNetwork, to peer: LabNode? = nil) async throws {
        try await setLink(network, peer, up: true)
    }

    private func setLink(_ network: LabNetwork, _ peer: LabNode?, up: Bool) async throws {
        for letter in machine(sshPort: 0).peers where peer == nil || peer?.letter == letter {
            try await qmp.run("set_link", ["name": Machine.card(network, to: letter), "up": up])
        }
    }

    /// Drops every ssh packet between this node and `peer`, on all networks but the management one, while all else goes
    /// through: an ssh in flight hangs rather than fails.
    public func cutSSH(to peer: LabNode) async throws {
        let addresses = LabNetwork.allCases.map { peer.address($0) }.joined(separator: ", ")
        // What leaves this node is enough: client's packets go to port 22, a server's come from it.
        try await run(
            """
            nft -f - <<'END'
            table inet xenlvs_lab {
                chain to_\(peer.letter) {
                    type filter hook output priority 0
                    ip daddr { \(addresses) } tcp dport 22 drop
                    ip daddr { \(addresses) } tcp sport 22 drop
                }
            }
            END
            """)
    }

    /// Lets ssh through again.
    public func restoreSSH(to peer: LabNode) async throws {
        try await run("nft delete chain inet xenlvs_lab to_\(peer.letter)")
    }

    /// Makes a network slow or bad in the direction away from this node. What is reordered goes at once, before what waits
    /// for the delay.
    public func impair(
        _ network: LabNetwork, to peer: LabNode, delay: Duration = .zero, lossPercent: Double = 0,
        duplicatePercent: Double = 0, reorderPercent: Double = 0, kilobitsPerSecond: Int? = nil
    ) async throws {
        var words = ["netem", "delay", "\(Int(delay / .microseconds(1)))us"]
        if lossPercent > 0 { words += ["loss", "\(lossPercent)%"] }
        if duplicatePercent > 0 { words += ["duplicate", "\(duplicatePercent)%"] }
        if reorderPercent > 0 { words += ["reorder", "\(reorderPercent)%"] }
        if let kilobitsPerSecond { words += ["rate", "\(kilobitsPerSecond)kbit"] }
        let card = Machine.card(network, to: peer.letter)
        try await run("tc qdisc replace dev \(card) root \(words.joined(separator: " "))")
    }

    /// Undoes `impair`.
    public func unimpair(_ network: LabNetwork, to peer: LabNode) async throws {
        try await run("tc qdisc delete dev \(Machine.card(network, to: peer.letter)) root")
    }
}
