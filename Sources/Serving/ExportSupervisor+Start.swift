import AoE
import BlockServer
import Glibc
import HostModel
import Synchronization

/// From a record to a target that is served.
extension ExportSupervisor {
    /// Devices that are opened at the same time, without those that take long.
    private static let openingAtOnce = 64
    /// From when on an opening takes long, at the start and of what is tried again.
    private static let startPatience = Duration.seconds(1)
    private static let retryPatience = Duration.milliseconds(20)

    /// Brings every export up that can be, and returns how many could not.
    public func start() -> Int {
        changing.withLock { _ in
            bringUp(
                entries.withLock { $0.values.map(\.record) }.sorted { $0.address < $1.address },
                patience: Self.startPatience)
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
            var failed: [ExportRecord] = []
            for entry in all {
                switch entry.phase {
                case .opening: finishOpening(entry.record.address)
                case .failed: failed.append(entry.record)
                case .installed, .leaving: break
                }
            }
            if number % Self.retryTicks == 0 { bringUp(failed, patience: Self.retryPatience) }
            attachWaiting()
            askAgain()
            removeLeaving()
            if number % Self.rescanTicks == 0 {
                do throws(Failure) { try rescan() } catch { report(error.description) }
            }
        }
    }

    /// Opens what the records name, and installs each as soon as it is open. A file or device that is there opens at once;
    /// one that takes longer than `patience` keeps no other waiting, and is left to later ticks.
    private func bringUp(_ records: [ExportRecord], patience: Duration) {
        var rest = records[...]
        var underWay: [(address: AoEAddress, since: ContinuousClock.Instant)] = []
        while true {
            let limit = ContinuousClock.now - patience
            underWay.removeAll { finishOpening($0.address) || $0.since < limit }
            while underWay.count < Self.openingAtOnce, let record = rest.popFirst() {
                beginOpening(record)
                underWay.append((record.address, ContinuousClock.now))
            }
            if underWay.isEmpty { return }
            usleep(1000)
        }
    }

    private func beginOpening(_ record: ExportRecord) {
        do throws(Failure) {
            try scrutiny(record)
            let opener = try BackingOpener.start(record)
            update(record.address) { $0.phase = .opening(opener) }
        } catch { update(record.address) { $0.phase = .failed(error) } }
    }

    /// Installs an export whose backing has been opened meanwhile. Returns false where it is still being opened.
    @discardableResult
    private func finishOpening(_ address: AoEAddress) -> Bool {
        guard let entry = entries.withLock({ $0[address] }), case .opening(let opener) = entry.phase else {
            return true
        }
        guard let outcome = opener.wait(milliseconds: 0) else { return false }
        do throws(Failure) {
            let claims = try Self.claims(entry.record)
            let installed = try install(entry.record, try outcome.get())
            update(address) { ($0.phase, $0.claims, $0.told) = (.installed(installed), claims, nil) }
        } catch {
            update(address) { ($0.phase, $0.told) = (.failed(error), error) }
            if entry.told != error { report("\(address) is not served: \(error.description)") }
        }
        return true
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
