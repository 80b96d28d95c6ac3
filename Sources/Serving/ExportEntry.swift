import AoE
import HostModel

/// What the supervisor knows of one export.
struct ExportEntry: Sendable {
    /// Where an export is on its way.
    enum Phase: Sendable {
        /// Its backing is being opened.
        case opening(BackingOpener)
        /// It cannot be served for this reason, and is tried again.
        case failed(Failure)
        /// The target server has it.
        case installed(Installed)
        /// It is not wanted any more; the server still has requests of it under way.
        case leaving(AoEServer.TargetID)
    }

    struct Installed: Sendable {
        var id: AoEServer.TargetID
        var size: ByteCount
        var isDirect: Bool
        /// The interfaces that it is served on.
        var interfaces: Set<String> = []
        /// Why it is not served on others.
        var obstacles: [String: Failure] = [:]
    }

    let record: ExportRecord
    var phase: Phase
    /// Whether it stands in the list that is kept: an export that is still being made does not yet.
    var isKept: Bool
    /// Whether somebody is taking it, leaving, from the server and closing its backing.
    var isBeingTaken = false
    /// Its address on each interface, claimed on this host.
    var claims: [ClaimBox] = []
    /// Why it could not be served, as the log has it.
    var told: Failure?

    /// A claim, shared by copies of the entry.
    final class ClaimBox: Sendable {
        private let claim: AddressClaim
        init(_ claim: consuming AddressClaim) { self.claim = claim }
    }

    /// How it stands, for the operator.
    func status(ports: [PortStatus], statistics: ExportStatistics?) -> ExportStatus {
        var status = ExportStatus(
            record: record, state: .failed, failure: nil, interfaces: [], size: nil, isDirect: nil,
            statistics: statistics)
        switch phase {
        case .opening:
            status.failure = Failure(
                .failed, "\(record.path) is being opened", why: "it takes long", remedy: "look whether the device hangs"
            )
        case .failed(let failure): status.failure = failure
        case .leaving: status.state = .leaving
        case .installed(let installed):
            status.size = installed.size
            status.isDirect = installed.isDirect
            status.interfaces = record.interfaces.map { installed.interface($0, ports) }
            status.state = .serving
            if status.interfaces.allSatisfy({ $0.state == .waiting }) {
                status.state = .waiting
                status.failure =
                    installed.obstacles.values.first
                    ?? Failure(.busy, "\(record.address) is not served yet", why: Installed.asking)
            }
        }
        if status.interfaces.isEmpty {
            status.interfaces = record.interfaces.map { .init(name: $0, state: .waiting, why: nil) }
        }
        return status
    }
}

extension ExportEntry {
    /// How it stands where its server does not say.
    func status(unanswered failure: Failure) -> ExportStatus {
        var status = self.status(ports: [], statistics: nil)
        guard case .installed = phase else { return status }
        status.state = .failed
        status.failure = failure
        status.interfaces = record.interfaces.map { .init(name: $0, state: .waiting, why: failure.why) }
        return status
    }
}

extension ExportEntry.Installed {
    /// Why one that has an interface does not answer there yet.
    fileprivate static let asking = "the interface has come up; others are asked first whether they have the address"

    fileprivate func interface(_ name: String, _ ports: [PortStatus]) -> ExportStatus.Interface {
        guard interfaces.contains(name) else {
            return .init(name: name, state: .waiting, why: obstacles[name]?.why ?? obstacles[name]?.what)
        }
        guard let port = ports.first(where: { $0.interface == name }), port.isPresent else {
            return .init(name: name, state: .gone, why: "there is no such interface at the moment")
        }
        if port.isUp, port.silence != nil { return .init(name: name, state: .waiting, why: Self.asking) }
        return .init(name: name, state: port.isUp ? .up : .down, why: nil)
    }
}
