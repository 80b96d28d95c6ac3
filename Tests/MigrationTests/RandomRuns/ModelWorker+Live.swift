@testable import Migration

/// The steps of a live hand-over on one host, and what there is of one that was cut off.
extension ModelWorld {
    // MARK: Source

    /// Whom a run that was cut off has left suspended under its own name: whoever looks for it lets it run on.
    mutating func letSuspendedRunOn(_ host: HostID) throws(Break) {
        guard self[host].domain?.isSuspended == true else { return }
        try effect(host, "let the suspended guest run on") { host in
            guard host.domain?.isSuspended == true else { return }
            host.domain?.isSuspended = false
            host.domain?.isRunning = true
        }
    }

    mutating func takeNameBack(_ host: HostID) throws(Break) {
        guard self[host].away != nil else { return }
        try effect(host, "give the guest its name back") { host in
            guard let away = host.away else { return }
            (host.domain, host.away) = (away, nil)
        }
    }

    /// Its disks may have been closed for the target. A way back has led them elsewhere already.
    mutating func recall(_ host: HostID, isGoingBack: Bool = false) throws(Break) {
        if !isGoingBack, self[host].away != nil, sabotage != .recallsOnClosed {
            for disk in disks where self[host].volumes[disk].table != .replica {
                try lead(disk, to: .replica, host)
            }
        }
        try takeNameBack(host)
        try letSuspendedRunOn(host)
        guard self[host].domain?.isRunning == true else { throw .failed }
    }

    mutating func openWindow(_ host: HostID) throws(Break) {
        for disk in disks {
            guard self[host].volumes[disk].replica?.secret != nil else { throw .failed }
            try effect(host, "allow two Primaries of \(disk)") { $0.volumes[disk].replica?.allowsTwo = true }
        }
    }

    /// The guest is suspended, and has its switches open still. Whatever it has written, both sides must have.
    mutating func quiet(_ host: HostID) throws(Break) {
        if sabotage == .skipsQuiet { return }
        for disk in disks where self[host].volumes[disk].table != .closed {
            try effect(host, "close switch \(disk) below the suspended guest") { $0.volumes[disk].table = .closed }
        }
        guard disksThatCount.allSatisfy(isInStep) else { throw .failed }
    }

    /// The guest runs on the target. After a restart of this host there is no replica to write through.
    mutating func closeWindow(_ host: HostID) throws(Break) {
        for disk in disks where self[host].volumes[disk].replica != nil {
            guard self[host].volumes[disk].table != .replica else { throw .failed }
            try effect(host, "make \(disk) Secondary") { $0.volumes[disk].replica?.isPrimary = false }
        }
        try forbidTwo(host)
    }

    mutating func destroyAway(_ host: HostID) throws(Break) {
        guard self[host].away != nil, sabotage != .leavesAway else { return }
        try effect(host, "destroy what was let go") { $0.away = nil }
    }

    // MARK: Target

    mutating func clearTarget(_ host: HostID) throws(Break) {
        try clearArrival(host)
        try forbidTwo(host)
    }

    /// What has arrived, and has not run.
    mutating func clearArrival(_ host: HostID) throws(Break) {
        if let domain = self[host].domain {
            if domain.isRunning { throw .failed }
            try destroy(host)
        }
        for disk in disks where self[host].volumes[disk].replica?.isPrimary == true {
            try closeSwitch(disk, host)
            try effect(host, "make \(disk) Secondary") { $0.volumes[disk].replica?.isPrimary = false }
        }
    }

    // MARK: Both

    /// Replicas that are not connected are left alone: a new connection has no window.
    private mutating func forbidTwo(_ host: HostID) throws(Break) {
        if sabotage == .leavesWindow { return }
        for disk in disks where isConnected(disk) {
            // DRBD refuses that while there are two.
            if hosts.allSatisfy({ $0.volumes[disk].replica?.isPrimary == true }) { throw .failed }
            do throws(Break) {
                try effect(host, "forbid two Primaries of \(disk)") { $0.volumes[disk].replica?.allowsTwo = false }
            } catch {
                // Lost a moment ago.
                if error != .failed || isConnected(disk) { throw error }
            }
        }
    }
}
