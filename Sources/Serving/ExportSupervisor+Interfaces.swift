import AoE
import HostModel
import Synchronization

/// On which interfaces installed exports are served.
extension ExportSupervisor {
    /// Serves installed exports on the interfaces that have come.
    func attachWaiting() {
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
    private func attach(_ entries: [ExportEntry], to name: String) {
        let addresses = entries.map(\.record.address)
        let conflicts: [AoEAddress: Failure]
        do throws(Failure) { conflicts = try Self.probe(entries, on: name).conflicts() } catch {
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

    /// Finds out, of interfaces that have come up or back and answer nothing yet, whether others have taken addresses
    /// there meanwhile. Those are not served there any more; the rest is.
    func askAgain() {
        let known = entries.withLock { Array($0.values) }.filter { $0.installedID != nil }
        var silent: [String: [(orders: ServerOrders, silence: UInt64)]] = [:]
        for (orders, _) in byServer(known, \.record.address) {
            for port in (try? orders.silentPorts()) ?? [] {
                if let silence = port.silence { silent[port.interface, default: []].append((orders, silence)) }
            }
        }
        for (name, servers) in silent {
            let served = known.filter { $0.isServed(on: name) }
            // Otherwise it has gone again.
            guard let probe = try? Self.probe(served, on: name), probe.isUp, let conflicts = try? probe.conflicts()
            else { continue }
            for (orders, silence) in servers {
                let taken = served.map(\.record.address).filter {
                    conflicts[$0] != nil && server(of: $0).orders === orders
                }
                let ids = served.filter { taken.contains($0.record.address) }.compactMap(\.installedID)
                do throws(Failure) {
                    try orders.perform { server throws(Failure) in
                        for id in ids { server.withdraw(id, from: name) }
                        // Where it cannot, it stays silent, and others are asked again.
                        try? server.speak(on: name, after: silence)
                    }
                } catch {
                    // What was not withdrawn must not pass for withdrawn: the server would speak for it the next time.
                    continue
                }
                for address in taken { note(conflicts[address], of: address, on: name) }
            }
        }
    }

    private static func probe(_ entries: [ExportEntry], on name: String) throws(Failure) -> AddressProbe {
        let own = entries.map { ($0.record.address, $0.record.interfaces) }
        return try AddressProbe(own.map(\.0), on: name, besides: Dictionary(own) { first, _ in first })
    }

    /// Records whether an export is served on an interface, and tells of a change.
    private func note(_ failure: Failure?, of address: AoEAddress, on name: String) {
        var isNews = false
        update(address) { entry in
            guard case .installed(var installed) = entry.phase else { return }
            isNews = installed.obstacles[name] != failure
            installed.obstacles[name] = failure
            if failure == nil { installed.interfaces.insert(name) } else { installed.interfaces.remove(name) }
            entry.phase = .installed(installed)
        }
        if isNews, let failure { report("\(address) is not served on \(name): \(failure.why ?? failure.what)") }
    }
}

extension ExportEntry {
    func isServed(on interface: String) -> Bool {
        guard case .installed(let installed) = phase else { return false }
        return installed.interfaces.contains(interface)
    }
}
