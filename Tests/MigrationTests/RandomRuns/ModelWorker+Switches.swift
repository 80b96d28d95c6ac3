@testable import Migration

/// The steps that lead switches elsewhere, and what becomes of the switches at the end.
extension ModelWorld {
    mutating func leadToReplicas(_ host: HostID) throws(Break) {
        if sabotage == .staysOnVolume { return }
        try requireGuestOnSwitches(host)
        for disk in disks where self[host].volumes[disk].table != .replica {
            try lead(disk, to: .replica, host)
        }
    }

    mutating func leadToVolumes(_ host: HostID) throws(Break) {
        try requireGuestOnSwitches(host)
        for disk in disks where self[host].volumes[disk].table != .volume { try lead(disk, to: .volume, host) }
    }

    /// On the way back: whoever has the disks has the volumes from here on.
    mutating func leadBack(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if sabotage == .closesBelowTheGuest { return }
        if order.plan.method == .live {
            try letSuspendedRunOn(host)
        } else if !isGuestGone(order.id, host), self[host].domain == nil {
            _ = try newestImage(order.id, host)
        }
        for disk in disks where self[host].volumes[disk].hasSwitch && self[host].volumes[disk].table != .volume {
            try lead(disk, to: .volume, host)
        }
    }

    mutating func linkToClosedSwitches(_ host: HostID) throws(Break) {
        for disk in disks {
            guard self[host].volumes[disk].hasSwitch else { throw .failed }
            if self[host].volumes[disk].table == nil {
                try effect(host, "make switch \(disk), closed") { $0.volumes[disk].table = .closed }
            } else if self[host].volumes[disk].table == .volume {
                try closeSwitch(disk, host)
            }
            if self[host].volumes[disk].link != .deviceSwitch {
                try effect(host, "link \(disk) to its switch") { $0.volumes[disk].link = .deviceSwitch }
            }
        }
    }

    mutating func openSwitches(_ host: HostID) throws(Break) {
        if sabotage == .opensNothing { return }
        for disk in disks where self[host].volumes[disk].table != .replica { try lead(disk, to: .replica, host) }
    }

    mutating func linkToSwitches(_ host: HostID) throws(Break) {
        for disk in disks {
            if self[host].volumes[disk].table != .volume { try lead(disk, to: .volume, host) }
            if self[host].volumes[disk].link != .deviceSwitch {
                try effect(host, "link \(disk) to its switch") { $0.volumes[disk].link = .deviceSwitch }
            }
        }
    }

    /// What has it open is waited for, and refused at the end.
    mutating func closeSwitch(_ disk: Int, _ host: HostID) throws(Break) {
        if self[host].volumes[disk].table == .closed { return }
        if hasSwitchOpen(disk, host), sabotage != .closesBelowTheGuest { throw .failed }
        try effect(host, "close switch \(disk)") { $0.volumes[disk].table = .closed }
    }

    mutating func removeSwitch(_ disk: Int, _ host: HostID) throws(Break) {
        guard self[host].volumes[disk].table != nil, sabotage != .leavesSwitch else { return }
        if hasSwitchOpen(disk, host) { throw .failed }
        try effect(host, "remove switch \(disk)") { $0.volumes[disk].table = nil }
    }

    private func hasSwitchOpen(_ disk: Int, _ host: HostID) -> Bool {
        [self[host].domain, self[host].away].contains { $0?.uses[disk] == .deviceSwitch }
    }

    /// The kernel refuses a table over a replica that is not Primary.
    mutating func lead(_ disk: Int, to table: ModelVolume.Table, _ host: HostID) throws(Break) {
        if table == .replica, self[host].volumes[disk].replica?.isPrimary != true { throw .failed }
        try effect(host, "lead switch \(disk) to the \(table)") { $0.volumes[disk].table = table }
    }

    private func requireGuestOnSwitches(_ host: HostID) throws(Break) {
        guard let domain = self[host].domain, domain.isRunning,
            domain.uses.allSatisfy({ $0 == .deviceSwitch })
        else { throw .failed }
    }
}

extension ModelHost {
    /// Keeps a volume as an old copy, which has no switch.
    mutating func retire(_ disk: Int, _ migration: Int) {
        volumes[disk].standing = .retired(migration)
        volumes[disk].hasSwitch = false
    }
}
