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
    /// When the daemon was started that has brought it back from the list; nil for one that was made since.
    var broughtBack: ContinuousClock.Instant?
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
            if status.interfaces.contains(where: { $0.state == .up }) {
                status.state = .serving
            } else {
                status.state = .waiting
                status.failure = unreached(status.interfaces, installed)
            }
        }
        if status.interfaces.isEmpty {
            status.interfaces = record.interfaces.map { .init(name: $0, state: .waiting, why: nil) }
        }
        return status
    }

    /// Why nobody reaches it, where that is so on each of its interfaces.
    private func unreached(_ interfaces: [ExportStatus.Interface], _ installed: Installed) -> Failure {
        let reasons = interfaces.map { "\($0.name): \($0.why ?? $0.state.rawValue)" }
        let remedy = record.interfaces.compactMap { installed.obstacles[$0]?.remedy }.first
        return Failure(
            .failed, "\(record.address) is served on none of its interfaces", why: reasons.joined(separator: "; "),
            remedy: remedy ?? "'ip link' shows how they are; it is served again by itself when one of them is up")
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
    fileprivate func interface(_ name: String, _ ports: [PortStatus]) -> ExportStatus.Interface {
        guard interfaces.contains(name) else {
            let why = obstacles[name].map { $0.why ?? $0.what }
            return .init(name: name, state: .waiting, why: why ?? PortStatus.asking)
        }
        guard let port = ports.first(where: { $0.interface == name }), port.isPresent else {
            return .init(name: name, state: .gone, why: PortStatus.gone)
        }
        let state: ExportStatus.Interface.State = !port.isUp ? .down : port.silence == nil ? .up : .waiting
        return .init(name: name, state: state, why: port.obstacle)
    }
}
