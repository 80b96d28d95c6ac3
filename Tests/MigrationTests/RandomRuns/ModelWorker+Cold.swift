@testable import Migration

/// A guest that is shut down here and started there. What it knows is on its disks.
extension ModelWorld {
    /// Nobody has run it since it was shut down: it can be started from its disks as if nothing had been.
    var isGuestOff: Bool { hosts.contains { $0.offAfter == written } }

    mutating func shutDown(_ host: HostID) throws(Break) {
        guard let domain = self[host].domain, sabotage != .skipsShutDown else { return }
        guard domain.isRunning else { throw .failed }
        try effect(host, "shut the guest down") { host in
            guard let domain = host.domain, domain.isRunning else { return }
            (host.offAfter, host.domain, host.hasShutDown) = (domain.memory, nil, true)
        }
    }

    /// On the way back: it runs again where it was shut down, unless that host was restarted since. It may have been called dead.
    mutating func bootAgain(_ host: HostID) throws(Break) {
        guard self[host].domain != nil || self[host].hasShutDown || sabotage == .forgetsRestart else {
            isMemoryLost = true
            return
        }
        try boot(host)
    }

    /// It is started where it does not run, on what its links lead to.
    mutating func boot(_ host: HostID) throws(Break) {
        if self[host].domain == nil {
            guard let last = self[host].volumes.map(\.body).min() else { throw .failed }
            try open(last, host)
        }
        guard let domain = self[host].domain else { throw .failed }
        if domain.isRunning { return }
        try checkDisks(host)
        try unpause(host)
        isMemoryLost = false
    }
}
