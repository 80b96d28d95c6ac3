import HostModel

/// What an operator types to end a split brain. xenlvs itself never runs it: whose data are given up is not for a program
/// to say.
extension DRBDCommands {
    /// The line for the host of `connection.local`, which works whatever has become of the connection meanwhile: that there
    /// is none to be ended is no failure.
    ///
    /// DRBD 9 keeps a connection's settings while it stands alone. 8.4 forgets them (`w_after_conn_state_ch`, drbd_state.c),
    /// so there the line has them all but for the secret, which whoever sees the line would read.
    /// - Parameter givesUpOwn: what only this host's copy has is lost. DRBD refuses that to a Primary (`_check_net_options`,
    ///   drbd_nl.c).
    public func reconnectAfterSplitBrain(
        _ volume: VolumeName, minor: Int, _ connection: ReplicaConnection, givesUpOwn: Bool
    ) -> String {
        let resource = ReplicaDevice.resource(of: volume)
        let discard = givesUpOwn ? [DRBDOption("discard-my-data", "yes")] : []
        let disconnect: Command
        let secondary: Command
        let connect: Command
        switch dialect {
        case .v84:
            disconnect = setUp(["disconnect"] + addresses(connection))
            secondary = setUp(["secondary", "\(minor)"])
            connect = setUp(["connect", resource] + addresses(connection), connection.typedOptions + discard)
        case .v9:
            let peer = "\(connection.peer.nodeID)"
            disconnect = setUp(["disconnect", resource, peer])
            secondary = setUp(["secondary", resource])
            connect = setUp(["connect", resource, peer], discard)
        }
        return "\(disconnect) 2>/dev/null; " + (givesUpOwn ? "\(secondary) && " : "") + "\(connect)"
    }
}
