@testable import Migration

/// The steps around the decision, the ways back and the ends.
extension ModelWorld {
    // MARK: Hand over and settle

    func confirmPaused(_ host: HostID) throws(Break) {
        guard self[host].domain?.isRunning == false else { throw .failed }
        try checkDisks(host)
    }

    mutating func acknowledge(_ id: Int, _ host: HostID) throws(Break) {
        if sabotage == .decisionIsNotTold { return }
        let disks = self.disks
        if sabotage == .recordsDecisionInParts {
            try effect(host, "record the decision alone") { $0.change(id) { $0.isDecided = true } }
        }
        try effect(host, "record the decision") { host in
            host.change(id) { $0.isDecided = true }
            for disk in disks { host.volumes[disk].standing = .active }
        }
    }

    mutating func startAfterDecision(_ order: ModelOrder, _ host: HostID) throws(Break) {
        let id = order.id
        guard self[host].record(id)?.isDecided == true || sabotage == .decisionIsNotTold else { throw .failed }
        // A restart before this host knew of the decision took the links: whoever starts the guest needs them.
        if self[host].domain == nil, self[host].volumes.allSatisfy({ $0.replica == nil }) {
            try link(to: .volume, host)
        }
        if order.plan.method == .cold { return try boot(host) }
        if self[host].domain == nil {
            guard let image = self[host].wholeImage(id, .received) else { throw .failed }
            try open(image.memory, host)
        }
        try letRun(id, .received, host)
    }

    mutating func saveForSettlement(_ id: Int, _ host: HostID) throws(Break) {
        if runsOnVolumes(host) || sabotage == .linksBelowTheGuest { return }
        if self[host].domain?.isRunning == false, sabotage != .restsInRescue {
            if self[host].wholeImage(id, .settlement) != nil {
                try destroy(host)
            } else if self[host].hasSpent(id, .settlement) {
                try effect(host, "unpause") { $0.domain?.isRunning = true }
            }
        }
        try save(id, .settlement, host)
    }

    mutating func restoreAsLinked(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if self[host].domain != nil { return }
        if self[host].volumes.allSatisfy({ $0.replica?.isPrimary == true }) {
            try link(to: .replica, host)
        } else {
            try takeDown(order, host)
            try link(to: .volume, host)
        }
        try restore(order.id, .settlement, host)
    }

    // MARK: Back

    mutating func discard(_ order: ModelOrder, _ host: HostID) throws(Break) {
        guard self[host].record(order.id)?.isDecided == false else { throw .failed }
        self[host].pendingRestore = nil
        if order.plan.method == .live {
            try clearArrival(host)
        } else if let domain = self[host].domain {
            if domain.isRunning { throw .failed }
            try destroy(host)
        }
        try takeDown(order, host)
    }

    /// It was lost with the host's power, or was gone before the migration had touched it.
    func isGuestGone(_ id: Int, _ host: HostID) -> Bool {
        let isHere = self[host].domain != nil || self[host].away != nil
        return self[host].imagesAreOfAnEarlierBoot(id)
            || !isHere && !self[host].images.contains { $0.migration == id }
    }

    mutating func saveForRollback(_ id: Int, _ host: HostID) throws(Break) {
        if isGuestGone(id, host) { return }
        guard let domain = self[host].domain else {
            _ = try newestImage(id, host)
            return
        }
        if !domain.isRunning {
            if (try? newestImage(id, host)) != nil { return try destroy(host) }
            try effect(host, "unpause") { $0.domain?.isRunning = true }
        }
        if runsOnVolumes(host) { return }
        try save(id, .rollback, host)
    }

    func newestImage(_ id: Int, _ host: HostID) throws(Break) -> ModelImage.Purpose {
        let whole = [ModelImage.Purpose.rollback, .handOver, .substitution].filter {
            self[host].wholeImage(id, $0) != nil
        }
        guard let newest = whole.first, whole.count == 1 else { throw .failed }
        return newest
    }

    mutating func restoreOnSource(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if order.plan.method == .cold || isGuestGone(order.id, host) { return }
        if order.plan.method == .live { return try takeNameBack(host) }
        if let domain = self[host].domain {
            if domain.uses.contains(.replica) { throw .failed }
            return
        }
        try restore(order.id, try newestImage(order.id, host), host)
    }

    mutating func continueOnSource(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if order.plan.method == .cold {
            if sabotage != .staysOff { try bootAgain(host) }
            return
        }
        if isGuestGone(order.id, host) { return }
        if order.plan.method == .live { return try recall(host, isGoingBack: true) }
        try letRun(order.id, (try? newestImage(order.id, host)) ?? .rollback, host)
    }

    mutating func cleanAfterRollback(_ order: ModelOrder, _ host: HostID) throws(Break) {
        try takeDown(order, host)
        if order.isSource { for disk in disks { try removeSnapshot(disk, host) } }
        try removeMetadata(host)
        if !order.isSource {
            for disk in disks where self[host].volumes[disk].standing == .incoming(order.id) {
                try removeIncoming(disk, order.id, host)
            }
        }
        try removeImages(order.id, host)
    }

    private mutating func removeIncoming(_ disk: Int, _ id: Int, _ host: HostID) throws(Break) {
        try effect(host, "remove link \(disk)") { $0.volumes[disk].link = nil }
        try removeSwitch(disk, host)
        let volume = self[host].volumes[disk]
        if volume.exists, volume.madeBy != id {
            return try effect(host, "keep \(disk) as the old copy") { $0.retire(disk, id) }
        }
        try effect(host, "remove \(disk)") { $0.volumes[disk].exists = false }
        try effect(host, "forget \(disk)") { $0.volumes[disk] = ModelVolume() }
    }

    // MARK: The old copy

    mutating func cleanSource(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if let domain = self[host].domain {
            guard !domain.isRunning, (try? newestImage(order.id, host)) != nil else { throw .failed }
            try destroy(host)
        }
        try destroyAway(host)
        try takeDown(order, host)
        let record = self[host].record(order.id)
        let removes = record?.removesSource == true && record?.machine.wasTakenOver != true
        for disk in disks { try removeSnapshot(disk, host) }
        try removeMetadata(host)
        for disk in disks {
            try effect(host, "remove link \(disk)") { $0.volumes[disk].link = nil }
            try removeSwitch(disk, host)
            if removes {
                try effect(host, "remove \(disk)") { $0.volumes[disk].exists = false }
                try effect(host, "forget \(disk)") { $0.volumes[disk] = ModelVolume() }
            } else {
                try effect(host, "retire \(disk)") { $0.retire(disk, order.id) }
            }
        }
        try removeImages(order.id, host)
    }

    // MARK: One host alone

    mutating func spendAll(_ id: Int, _ host: HostID) throws(Break) {
        try effect(host, "spend all images") { host in
            for index in host.images.indices where host.images[index].migration == id {
                host.images[index].isSpent = true
            }
        }
    }

    mutating func reclaim(_ id: Int, _ host: HostID) throws(Break) {
        guard self[host].domain == nil else { throw .failed }
        try destroyAway(host)
        try spendAll(id, host)
        try effect(host, "take the decision back") { $0.change(id) { $0.isDecided = false } }
    }

    func isIncomplete(_ disk: Int, _ host: HostID) -> Bool { self[host].volumes[disk].metadata?.isUpToDate == false }

    mutating func linkReclaimed(_ id: Int, _ host: HostID) throws(Break) {
        for disk in disks {
            if !self[host].volumes[disk].exists {
                try effect(host, "forget \(disk)") { $0.volumes[disk] = ModelVolume() }
            } else if isIncomplete(disk, host) {
                try removeSwitch(disk, host)
                try effect(host, "retire \(disk)") { host in
                    host.retire(disk, id)
                    host.volumes[disk].link = nil
                }
            } else {
                try effect(host, "record \(disk) as the guest's") { $0.volumes[disk].standing = .active }
                try effect(host, "link \(disk) to the volume") { $0.volumes[disk].linkToVolume() }
            }
        }
    }

    mutating func retireCopies(_ order: ModelOrder, _ host: HostID) throws(Break) {
        if self[host].record(order.id)?.isDecided == false { try discard(order, host) }
        guard self[host].domain == nil else { throw .failed }
        try takeDown(order, host)
        try removeMetadata(host)
        for disk in disks where isOwn(disk, order.id, host) {
            try effect(host, "remove link \(disk)") { $0.volumes[disk].link = nil }
            try removeSwitch(disk, host)
            if self[host].volumes[disk].exists {
                try effect(host, "retire \(disk)") { $0.retire(disk, order.id) }
            } else {
                try effect(host, "forget \(disk)") { $0.volumes[disk] = ModelVolume() }
            }
        }
        try removeImages(order.id, host)
    }
}
