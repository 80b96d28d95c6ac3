import AoE
import BlockServer
import Glibc
import HostModel
import Synchronization

/// What operators change.
extension ExportSupervisor {
    /// Exports, and keeps it. When it returns, clients can use it, and a restart brings it back. Throws `.outcomeUnknown`
    /// where it is kept and its server does not say whether clients can use it.
    func export(_ record: ExportRecord) throws(Failure) -> ExportStatus {
        try changing.withLock { _ throws(Failure) in
            try check(record)
            var probes: [(String, AddressProbe)] = []
            for name in record.interfaces { probes.append((name, try AddressProbe([record.address], on: name))) }
            let claims = try Self.claims(record)
            let backing = try open(record)
            for (_, probe) in probes { try probe.requireFree() }
            let installed = try install(record, backing)
            let entry = ExportEntry(record: record, phase: .installed(installed), isKept: true, claims: claims)
            entries.withLock { $0[record.address] = entry }
            do throws(Failure) { try keep() } catch {
                // Nobody uses it yet. If its server does not let go of it now, the clock takes leave of it later.
                update(record.address) { ($0.phase, $0.isKept) = (.leaving(installed.id), false) }
                try? finishRemoval(record.address, installed.id, seconds: 1)
                throw error
            }
            for name in record.interfaces { attach(entry, to: name) }
            do throws(Failure) { return try status(of: record.address) } catch {
                throw Failure(
                    .outcomeUnknown, "\(record.address) is exported, but it is not known whether clients can use it",
                    why: error.why ?? error.what, remedy: "see 'xenlvs exports'")
            }
        }
    }

    /// Without another probe: it was made a moment ago.
    private func attach(_ entry: ExportEntry, to name: String) {
        guard let id = entry.installedID else { return }
        var failure: Failure?
        do throws(Failure) {
            try server(of: entry.record.address).orders.perform { server throws(Failure) in
                try server.serve(id, on: name)
            }
        } catch { failure = error }
        update(entry.record.address) { entry in
            guard case .installed(var installed) = entry.phase else { return }
            if failure == nil { installed.interfaces.insert(name) }
            installed.obstacles[name] = failure
            entry.phase = .installed(installed)
        }
    }

    private func check(_ record: ExportRecord) throws(Failure) {
        let what = "cannot export \(record.path) as \(record.address)"
        let others = entries.withLock { $0.values.map(\.record) }
        if let other = others.first(where: { $0.address == record.address }) {
            throw Failure(
                .busy, what, why: "\(other.path) is exported there",
                remedy: "give another --shelf or --slot, or 'xenlvs unexport aoe \(other.address)' first")
        }
        guard others.count < Self.limit else {
            throw Failure(.refused, what, why: "there are \(others.count) exports already")
        }
        let place = resolvedPath(record.path) ?? record.path
        if let other = others.first(where: { (resolvedPath($0.path) ?? $0.path) == place }) {
            throw Failure(
                .busy, what, why: "it is exported as \(other.address)",
                remedy: "two targets of one device would overwrite each other: "
                    + "'xenlvs unexport aoe \(other.address)' first")
        }
        try scrutiny(record)
    }

    private func open(_ record: ExportRecord) throws(Failure) -> Handover<Backing> {
        guard let outcome = try BackingOpener.start(record).wait(milliseconds: Self.openingMilliseconds) else {
            throw Failure(
                .failed, "cannot export \(record.path)", why: "it did not open within 5 seconds",
                remedy: "look whether the device hangs ('dmsetup info', the kernel log)")
        }
        return try outcome.get()
    }

    /// Exports no longer. When it returns nothing of it is under way, and its address and backing are free.
    func unexport(_ address: AoEAddress, force: Bool) throws(Failure) -> ExportStatus {
        let (status, leaving) = try changing.withLock {
            _ throws(Failure) -> (ExportStatus, AoEServer.TargetID?) in
            let status = try self.status(of: address)
            let leaving = try beginRemoval(address, force: force)
            return (status, leaving)
        }
        guard let leaving else { return status }
        try finishRemoval(address, leaving, seconds: Self.drainSeconds)
        return status
    }

    /// Takes an export from the list. Returns its target where there is one, which has to be taken then.
    private func beginRemoval(_ address: AoEAddress, force: Bool) throws(Failure) -> AoEServer.TargetID? {
        guard let entry = entries.withLock({ $0[address] }) else { throw Self.unknown(address) }
        guard let id = entry.installedID else {
            _ = entries.withLock { $0.removeValue(forKey: address) }
            do throws(Failure) { try keep() } catch {
                entries.withLock { $0[address] = entry }
                throw error
            }
            return nil
        }
        if case .leaving = entry.phase { return id }
        if !force { try requireIdle(entry, id) }
        update(address) { $0.isKept = false }
        do throws(Failure) { try keep() } catch {
            update(address) { $0.isKept = true }
            throw error
        }
        update(address) { $0.phase = .leaving(id) }
        return id
    }

    private func requireIdle(_ entry: ExportEntry, _ id: AoEServer.TargetID) throws(Failure) {
        let address = entry.record.address
        let statistics = try server(of: address).orders.perform { server throws(Failure) in
            try server.statistics(of: id)
        }
        guard let why = Self.recentUse(entry, statistics) else { return }
        throw Failure(
            .busy, "cannot end the export \(address)", why: why,
            remedy: "unmount it there and wait a minute, or give --force")
    }

    /// Why an initiator may have it in use; nil where none has used it within the last minute. What was used before the
    /// daemon was started nobody has kept.
    private static func recentUse(_ entry: ExportEntry, _ statistics: ExportStatistics) -> String? {
        if let idle = statistics.idleMilliseconds {
            guard idle < idleMilliseconds else { return nil }
            return "the initiator \(statistics.lastClient ?? "") used it \(idle / 1000) seconds ago"
        }
        guard let start = entry.broughtBack else { return nil }
        let running = ContinuousClock.now - start
        guard running < .milliseconds(idleMilliseconds) else { return nil }
        return "xenlvsd has been running for \(running.components.seconds) seconds only: it is not known whether an "
            + "initiator used it before that"
    }

    /// Has a leaving target take no more frames, waits until it has nothing under way, and lets it go, with its backing.
    private func finishRemoval(_ address: AoEAddress, _ id: AoEServer.TargetID, seconds: Int) throws(Failure) {
        let deadline = ContinuousClock.now + .seconds(seconds)
        repeat {
            do throws(Failure) { if try take(address, id) { return } } catch {
                // One that does not answer in time may do so yet; one that is ending does not.
                if error.code == .refused { throw error }
            }
            usleep(10_000)
        } while ContinuousClock.now < deadline
        throw Failure(
            .outcomeUnknown, "the export is ending",
            why: "requests to its backing did not end within \(seconds) seconds",
            remedy: "look at the device and at the kernel log; 'xenlvs exports' shows when it has gone")
    }

    /// Takes a leaving target from its server, closes its backing, and forgets it. Returns whether it has gone: it has not
    /// while it has requests under way, or while somebody else is at the same.
    private func take(_ address: AoEAddress, _ id: AoEServer.TargetID) throws(Failure) -> Bool {
        guard let isFree = beginTaking(address, id) else { return true }
        guard isFree else { return false }
        var hasGone = false
        defer { endTaking(address, id, hasGone: hasGone) }
        do throws(Failure) {
            let removed = try server(of: address).orders.perform { server throws(Failure) -> Handover<Export>? in
                try server.close(id)
                guard let export = try server.remove(id) else { return nil }
                return Handover(export)
            }
            if let export = removed?.take() {
                hasGone = true
                // On this thread, because that may take a while.
                _ = consume export
            }
        } catch {
            // An order has taken it that was given up before it came to its end.
            guard error.code == .notFound else { throw error }
            hasGone = true
        }
        return hasGone
    }

    /// Returns whether the caller is to take a leaving target: false where somebody else is at it, nil where it has gone.
    private func beginTaking(_ address: AoEAddress, _ id: AoEServer.TargetID) -> Bool? {
        entries.withLock { entries in
            guard case .leaving(id) = entries[address]?.phase else { return nil }
            guard entries[address]?.isBeingTaken == false else { return false }
            entries[address]?.isBeingTaken = true
            return true
        }
    }

    private func endTaking(_ address: AoEAddress, _ id: AoEServer.TargetID, hasGone: Bool) {
        entries.withLock { entries in
            guard case .leaving(id) = entries[address]?.phase else { return }
            if hasGone { entries[address] = nil } else { entries[address]?.isBeingTaken = false }
        }
    }

    /// Takes leave of targets that nobody waits for any more.
    func removeLeaving() {
        let leaving = entries.withLock { entries in
            entries.compactMap { address, entry -> (AoEAddress, AoEServer.TargetID)? in
                if case .leaving(let id) = entry.phase { (address, id) } else { nil }
            }
        }
        for (address, id) in leaving { _ = try? take(address, id) }
    }

    /// Takes in what backings have grown by.
    func rescan() throws(Failure) {
        let installed = entries.withLock { $0 }.compactMap { address, entry -> (AoEAddress, AoEServer.TargetID)? in
            guard case .installed(let installed) = entry.phase else { return nil }
            return (address, installed.id)
        }
        var failure: Failure?
        for (orders, part) in byServer(installed, \.0) {
            do throws(Failure) { try rescan(part, orders) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    private func rescan(_ part: [(AoEAddress, AoEServer.TargetID)], _ orders: ServerOrders) throws(Failure) {
        let results = try orders.perform { server throws(Failure) in
            part.map { _, id -> Result<(ByteCount, Bool), Failure> in
                do throws(Failure) {
                    let result = try server.rescan(id)
                    return .success((result.size, result.hasGrown))
                } catch { return .failure(error) }
            }
        }
        for ((address, _), result) in zip(part, results) {
            switch result {
            case .success((let size, true)):
                update(address) { entry in
                    guard case .installed(var installed) = entry.phase else { return }
                    installed.size = size
                    entry.phase = .installed(installed)
                }
                report("\(address) has grown to \(size)")
            case .success: break
            case .failure(let failure): report("\(address): \(failure.description)")
            }
        }
    }
}
