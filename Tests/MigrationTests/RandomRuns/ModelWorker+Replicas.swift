@testable import Migration

/// DRBD's part of the steps.
extension ModelWorld {
    mutating func reserve(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if let known = self[host].record(order.id) {
            try checkNotResolved(known, order.epoch)
            guard known.isOpen else { throw .failed }
            return self[host].change(order.id) { $0.epoch = order.epoch }
        }
        guard self[host].domain == nil, !self[host].journal.contains(where: \.isOpen) else { throw .failed }
        for volume in self[host].volumes
        where volume.standing == .active || volume.standing == .unknown && volume.link != nil {
            throw .failed
        }
        guard let record = self[host.other].record(order.id) else { throw .failed }
        try effect(host, "reserve") { host in
            host.journal.append(
                ModelRecord(
                    id: record.id, isSource: false, removesSource: record.removesSource, epoch: order.epoch,
                    machine: record.machine))
        }
    }

    mutating func makeVolumes(_ order: ModelOrder, _ host: HostID) throws(Break) {
        let (id, hasSwitch) = (order.id, order.usesSwitches)
        for disk in disks {
            let volume = self[host].volumes[disk]
            if volume.standing == .active { throw .failed }
            if volume.exists {
                if volume.standing == .unknown { throw .failed }
            } else {
                try effect(host, "record \(disk)") { $0.volumes[disk].standing = .incoming(id) }
                try effect(host, "make \(disk)") { host in
                    host.volumes[disk].exists = true
                    host.volumes[disk].madeBy = id
                    (host.volumes[disk].body, host.volumes[disk].tail) = (ModelVolume.garbage, ModelVolume.garbage)
                }
            }
            try effect(host, "record \(disk) as made") { host in
                host.volumes[disk].standing = .incoming(id)
                host.volumes[disk].hasSwitch = hasSwitch
            }
        }
    }

    mutating func makeReplicas(_ host: HostID) throws(Break) {
        for disk in disks where self[host].volumes[disk].replica == nil {
            guard self[host].volumes[disk].exists else { throw .failed }
            try effect(host, "make metadata \(disk)") { $0.volumes[disk].metadata = ModelVolume.Metadata() }
            try effect(host, "attach \(disk)") { $0.volumes[disk].replica = ModelVolume.Replica() }
        }
    }

    mutating func promoteFresh(_ host: HostID) throws(Break) {
        for disk in disks where self[host].volumes[disk].replica?.isPrimary != true {
            guard self[host].volumes[disk].metadata?.isFresh == true, self[host].volumes[disk].replica != nil else {
                throw .failed
            }
            try effect(host, "force \(disk) Primary") { host in
                host.volumes[disk].replica?.isPrimary = true
                host.volumes[disk].metadata?.isFresh = false
                host.volumes[disk].metadata?.isUpToDate = true
            }
        }
    }

    mutating func connect(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if self[host].volumes.contains(where: { $0.replica == nil }) { try attachAgain(order, host) }
        guard let secret = order.secret else { return }
        for disk in disks {
            try effect(host, "disconnect \(disk)") { $0.volumes[disk].replica?.disconnect() }
            try effect(host, "connect \(disk)") { $0.volumes[disk].replica?.secret = secret }
        }
    }

    private mutating func attachAgain(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if order.isSource { throw .inconsistent }
        guard order.mayAttachAgain else { throw .failed }
        try discard(order, host)
        for disk in disks where self[host].volumes[disk].replica == nil {
            if sabotage == .attachesOneByOne { try discard(order, host) }
            guard self[host].volumes[disk].metadata != nil else { throw .failed }
            try effect(host, "attach \(disk) again") { host in
                host.volumes[disk].replica = ModelVolume.Replica()
                host.volumes[disk].metadata?.isTailDirty = false
            }
            // The worst that 8.4 does.
            isInDoubt = true
            self[host.other].volumes[disk].metadata?.isTailDirty = false
        }
    }

    mutating func demote(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if order.plan.method == .live { return try closeWindow(host) }
        if order.usesSwitches { for disk in disks { try closeSwitch(disk, host) } }
        for disk in disks {
            let volume = self[host].volumes[disk]
            guard volume.replica != nil, self[host].domain?.uses[disk] != .replica, volume.table != .replica else {
                throw .failed
            }
            try effect(host, "make \(disk) Secondary") { $0.volumes[disk].replica?.isPrimary = false }
        }
    }

    /// DRBD itself refuses a second Primary, but in a window, and one without a complete copy.
    mutating func promoteInStep(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if self[host].volumes.allSatisfy({ $0.replica?.isPrimary == true }) { return }
        if sabotage != .promotesWithoutCheck { try checkPermit(order, host) }
        for disk in disks {
            guard self[host].volumes[disk].metadata?.isUpToDate == true, self[host].volumes[disk].replica != nil else {
                throw .failed
            }
            if isConnected(disk), !isWindow(disk), self[host.other].volumes[disk].replica?.isPrimary == true {
                throw .failed
            }
            try effect(host, "make \(disk) Primary") { $0.volumes[disk].replica?.isPrimary = true }
        }
    }

    private func checkPermit(_ order: ModelOrder, _ host: HostID) throws(Break) {
        // Live it becomes Primary beside the source.
        let isAllowed =
            order.plan.method == .live
            ? self[host].volumes.allSatisfy({ $0.replica?.isPrimary == false }) : order.isSourceQuiet
        guard isAllowed, disksThatCount.allSatisfy(isInStep) else { throw .failed }
    }

    mutating func release(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if self[host].volumes.allSatisfy({ $0.replica == nil }) { return }
        try checkPermit(order, host)
        try takeDown(order, host)
    }

    /// A device in use cannot be taken down: the kernel refuses.
    mutating func takeDown(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if sabotage == .linksBelowTheGuest { return }
        for disk in disks where self[host].volumes[disk].replica != nil {
            guard order.isSource || isOwn(disk, order.id, host) else { continue }
            if self[host].domain?.uses[disk] == .replica { throw .failed }
            if self[host].volumes[disk].table == .replica { try closeSwitch(disk, host) }
            try effect(host, "take \(disk) down") { $0.volumes[disk].replica = nil }
        }
    }

    mutating func removeMetadata(_ host: HostID) throws(Break) {
        if sabotage == .leavesMetadata { return }
        for disk in disks where self[host].volumes[disk].metadata != nil {
            try effect(host, "remove metadata \(disk)") { $0.volumes[disk].metadata = nil }
        }
    }

    mutating func removeImages(_ id: Int, _ host: HostID) throws(Break) {
        guard self[host].images.contains(where: { $0.migration == id }) else { return }
        try effect(host, "remove images") { $0.images.removeAll { $0.migration == id } }
    }
}
