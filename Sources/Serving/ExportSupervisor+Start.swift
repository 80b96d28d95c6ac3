import AoE
import BlockServer
import HostModel
import Synchronization

/// From a record to a target that is served.
extension ExportSupervisor {
    /// Devices that are opened at the same time at the start.
    private static let openingAtOnce = 32

    /// Brings every export up that can be, and returns how many could not.
    public func start() -> Int {
        changing.withLock { _ in
            let all = entries.withLock { $0.values.map(\.record) }.sorted { $0.address < $1.address }
            for start in stride(from: 0, to: all.count, by: Self.openingAtOnce) {
                let part = all[start..<min(start + Self.openingAtOnce, all.count)]
                for record in part { beginOpening(record) }
                for record in part { finishOpening(record.address, milliseconds: Self.openingMilliseconds) }
            }
            attachWaiting()
            let failed = entries.withLock { $0.values.filter { $0.failure != nil }.map { ($0.record, $0.failure) } }
            for (record, failure) in failed {
                if let failure { report("\(record.address) is not served: \(failure.description)") }
            }
            return failed.count
        }
    }

    /// Tries what has failed again, looks for interfaces that have come and backings that have grown, and takes leave of
    /// what has ended. Once a second.
    public func tick(_ number: Int) {
        // A command is at work: the next time.
        _ = changing.withLockIfAvailable { _ in
            let all = entries.withLock { Array($0.values) }.filter(\.isKept)
            for entry in all {
                switch entry.phase {
                case .opening: finishOpening(entry.record.address, milliseconds: 0)
                case .failed: if number % Self.retryTicks == 0 { retry(entry.record) }
                case .installed, .leaving: break
                }
            }
            attachWaiting()
            removeLeaving()
            if number % Self.rescanTicks == 0 {
                do throws(Failure) { try rescan() } catch { report(error.description) }
            }
        }
    }

    private func retry(_ record: ExportRecord) {
        beginOpening(record)
        // A file or device that is there opens at once.
        finishOpening(record.address, milliseconds: 20)
    }

    private func beginOpening(_ record: ExportRecord) {
        do throws(Failure) {
            try scrutiny(record)
            let opener = try BackingOpener.start(record)
            update(record.address) { $0.phase = .opening(opener) }
        } catch { update(record.address) { $0.phase = .failed(error) } }
    }

    /// Installs an export whose backing has been opened meanwhile.
    private func finishOpening(_ address: AoEAddress, milliseconds: Int) {
        guard let entry = entries.withLock({ $0[address] }), case .opening(let opener) = entry.phase,
            let outcome = opener.wait(milliseconds: milliseconds)
        else { return }
        do throws(Failure) {
            let claims = try Self.claims(entry.record)
            let installed = try install(entry.record, try outcome.get())
            update(address) { ($0.phase, $0.claims) = (.installed(installed), claims) }
        } catch {
            let isNews = entry.failure?.why != error.why
            update(address) { $0.phase = .failed(error) }
            if isNews { report("\(address) is not served: \(error.description)") }
        }
    }

    static func claims(_ record: ExportRecord) throws(Failure) -> [ExportEntry.ClaimBox] {
        var claims: [ExportEntry.ClaimBox] = []
        for interface in record.interfaces {
            claims.append(ExportEntry.ClaimBox(try AddressClaim(record.address, on: interface)))
        }
        return claims
    }

    /// Makes a target of an open backing and gives it to the server, on no interface yet.
    func install(_ record: ExportRecord, _ backing: Handover<Backing>) throws(Failure) -> ExportEntry.Installed {
        guard let backing = backing.take() else {
            throw Failure(.failed, "\(record.path) has been opened for another export")
        }
        let (size, isDirect) = (backing.size, backing.isDirect)
        let configuration = AoETargetConfiguration(
            address: record.address, durability: record.durability, allowed: record.allowed,
            queueDepth: record.queueDepth, stateDirectory: paths.targets, version: Version.text)
        let export = Handover(
            try Export(
                configuration, backing: backing, serial: record.serial,
                pool: server(of: record.address).pool, report: report))
        let id = try server(of: record.address).orders.perform { server throws(Failure) in
            guard let export = export.take() else { throw Failure(.failed, "the target was given away before") }
            return try server.add(export)
        }
        return ExportEntry.Installed(id: id, size: size, isDirect: isDirect)
    }

    /// Serves installed exports on the interfaces that have come.
    private func attachWaiting() {
        var waiting: [String: [ExportEntry]] = [:]
        for entry in entries.withLock({ Array($0.values) }) where entry.isKept {
            guard case .installed(let installed) = entry.phase else { continue }
            for name in entry.record.interfaces where !installed.interfaces.contains(name) {
                waiting[name, default: []].append(entry)
            }
        }
        for (name, entries) in waiting { attach(entries, to: name) }
    }

    /// Serves installed exports on an interface, but for those whose address another target there answers for.
    func attach(_ entries: [ExportEntry], to name: String) {
        let addresses = entries.map(\.record.address)
        let conflicts: [AoEAddress: Failure]
        do throws(Failure) { conflicts = try AddressProbe(addresses, on: name).conflicts() } catch {
            for address in addresses { note(error, of: address, on: name) }
            return
        }
        let free = entries.compactMap { entry -> (AoEAddress, AoEServer.TargetID)? in
            guard conflicts[entry.record.address] == nil, let id = entry.installedID else { return nil }
            return (entry.record.address, id)
        }
        for (address, conflict) in conflicts { note(conflict, of: address, on: name) }
        for (orders, part) in byServer(free, \.0) {
            let failures: [Failure?]
            do throws(Failure) {
                failures = try orders.perform { server throws(Failure) in
                    part.map { _, id -> Failure? in
                        do throws(Failure) { try server.serve(id, on: name) } catch { return error }
                        return nil
                    }
                }
            } catch { failures = part.map { _ in error } }
            for ((address, _), failure) in zip(part, failures) { note(failure, of: address, on: name) }
        }
    }

    /// Records whether an export is served on an interface, and tells of a change.
    private func note(_ failure: Failure?, of address: AoEAddress, on name: String) {
        var isNews = false
        update(address) { entry in
            guard case .installed(var installed) = entry.phase else { return }
            isNews = installed.obstacles[name] != failure
            installed.obstacles[name] = failure
            if failure == nil { installed.interfaces.insert(name) }
            entry.phase = .installed(installed)
        }
        if isNews, let failure { report("\(address) is not served on \(name): \(failure.why ?? failure.what)") }
    }
}

extension ExportEntry {
    /// Why it is not served; nil where it is, or could be if it had an interface.
    var failure: Failure? {
        switch phase {
        case .failed(let failure): failure
        case .opening: Failure(.failed, "\(record.path) is still being opened")
        case .installed, .leaving: nil
        }
    }
}
