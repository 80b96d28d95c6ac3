import HostModel

/// The states of a volume's two copies, each as its own host reports it.
public struct ReplicaPair: Sendable, Codable, Equatable {
    public var volume: VolumeName
    /// The size that the volume has on both hosts.
    public var size: ByteCount
    /// Nil where DRBD does not know the replica.
    public var source: ReplicaStatus?
    public var target: ReplicaStatus?

    public init(volume: VolumeName, size: ByteCount, source: ReplicaStatus?, target: ReplicaStatus?) {
        self.volume = volume
        self.size = size
        self.source = source
        self.target = target
    }
}

/// Proof that every volume of a domain is complete on both hosts: connected, both copies UpToDate, nothing out of sync,
/// the right size, the target Secondary. It cannot be made from anything less, stored or sent.
public struct HandoverReadiness: Sendable {
    public let pairs: [ReplicaPair]

    /// - Throws: `.refused` with the reasons of every volume, in words.
    public init(_ pairs: [ReplicaPair]) throws(Failure) {
        let objections = Self.objections(to: pairs)
        guard objections.isEmpty else {
            throw Failure(
                .refused, "the copies are not ready to be handed over", why: objections.joined(separator: "; "),
                remedy: "wait for the synchronisation to end, or reconnect the replicas")
        }
        self.pairs = pairs
    }

    /// Why these copies are not ready, one sentence for each side of each volume; empty where they are.
    public static func objections(to pairs: [ReplicaPair]) -> [String] {
        pairs.isEmpty ? ["there is no volume"] : pairs.flatMap { pair in pairObjections(to: pair) }
    }

    private static func pairObjections(to pair: ReplicaPair) -> [String] {
        let source = SideCheck(side: "source", other: "target", pair: pair, own: pair.source, peer: pair.target)
        let target = SideCheck(side: "target", other: "source", pair: pair, own: pair.target, peer: pair.source)
        return [
            source.sentence(roles: [.primary, .secondary]),
            target.sentence(roles: [.secondary]),
        ].compactMap { $0 }
    }
}

/// Proof that the target's replicas may become Primary: the copies are ready, and the source is Secondary already.
public struct PromotionPermit: Sendable {
    private let resources: Set<String>

    /// - Throws: `.refused`, naming the volumes whose source is still Primary.
    public init(_ readiness: HandoverReadiness) throws(Failure) {
        let primaries = readiness.pairs.filter { $0.source?.role != .secondary }.map(\.volume.text)
        guard primaries.isEmpty else {
            throw Failure(
                .refused, "will not promote the target's copies",
                why: "the source is not Secondary: \(primaries.joined(separator: ", "))",
                remedy: "make the source's replicas Secondary first")
        }
        resources = Set(readiness.pairs.map { ReplicaDevice.resource(of: $0.volume) })
    }

    /// From statuses that were read just now.
    public init(_ pairs: [ReplicaPair]) throws(Failure) { try self.init(HandoverReadiness(pairs)) }

    func covers(_ device: ReplicaDevice) -> Bool { resources.contains(device.resource) }
}

/// Proof that the target's replicas may become Primary beside the source's, for the time of a live hand-over: the copies are
/// ready. That DRBD must have been told to allow it, DRBD sees to.
public struct WindowPermit: Sendable {
    private let resources: Set<String>

    public init(_ readiness: HandoverReadiness) {
        resources = Set(readiness.pairs.map { ReplicaDevice.resource(of: $0.volume) })
    }

    func covers(_ device: ReplicaDevice) -> Bool { resources.contains(device.resource) }
}

/// Checks what one host reports of its copy of a volume.
private struct SideCheck {
    let side: String
    let other: String
    let pair: ReplicaPair
    let own: ReplicaStatus?
    let peer: ReplicaStatus?

    /// `web1: the target's copy is Inconsistent, 12 MiB out of sync`; nil where all is well.
    func sentence(roles: Set<ReplicaRole>) -> String? {
        let findings = self.findings(roles: roles)
        return findings.isEmpty ? nil : "\(pair.volume): " + findings.joined(separator: ", ")
    }

    private func findings(roles: Set<ReplicaRole>) -> [String] {
        guard let own else { return ["DRBD on the \(side) does not know the replica"] }
        guard own.resource == ReplicaDevice.resource(of: pair.volume) else {
            return ["the \(side)'s status is that of \(own.resource)"]
        }
        guard let device = own.volume else { return ["the \(side)'s replica has no single device"] }
        guard let connection = own.connection, let seen = own.peer else {
            return ["the \(side)'s replica has no single peer"]
        }
        return copyFindings(own, device, roles) + connectionFindings(connection, seen)
    }

    private func copyFindings(
        _ own: ReplicaStatus, _ device: ReplicaStatus.Volume, _ roles: Set<ReplicaRole>
    ) -> [String] {
        var findings: [String] = []
        if device.disk != .upToDate { findings.append("the \(side)'s copy is \(device.disk)") }
        if device.size != pair.size {
            findings.append("the \(side)'s copy has \(device.size?.description ?? "an unknown size"), not \(pair.size)")
        }
        if !roles.contains(own.role) { findings.append("the \(side) is \(own.role)") }
        if own.suspended != "no" { findings.append("the \(side)'s writes are suspended (\(own.suspended))") }
        if device.hasQuorum == false { findings.append("the \(side) has no quorum") }
        return findings
    }

    private func connectionFindings(
        _ connection: ReplicaStatus.Connection, _ seen: ReplicaStatus.PeerVolume
    ) -> [String] {
        var findings: [String] = []
        if connection.state != .connected {
            findings.append("the \(side) is \(connection.state), not Connected")
        } else if seen.replication != .established {
            findings.append("the \(side) is \(seen.replication), not Established")
        }
        if seen.disk != .upToDate { findings.append("the \(side) sees the \(other)'s copy as \(seen.disk)") }
        if let peer, connection.peerRole != peer.role {
            findings.append("the \(side) sees the \(other) as \(connection.peerRole), which is \(peer.role)")
        }
        switch seen.outOfSync {
        case nil: findings.append("the \(side) does not say how much is out of sync")
        case .some(let amount) where amount.bytes != 0: findings.append("\(amount) out of sync")
        case .some: break
        }
        return findings
    }
}
