import AoE
import HostModel
import ISCSI

/// What a host asks of another one with which it shares a domain's disks.
public enum ShareOrder: Sendable, Codable {
    /// How the disks of a domain are there. Changes nothing.
    case look(DomainName, [VolumeName])
    /// What is in a disk's first and last MiB. Changes nothing.
    case edges(VolumeName)
    /// The name by which the host is known to iSCSI targets; it is made where there is none.
    case initiator
    /// Attach a disk, or see that it is attached like that.
    case attach(SharedTarget)
    /// Give a disk back that was attached by an order of the same host.
    case detach(VolumeName)
}

public enum ShareAnswer: Sendable, Codable {
    case disks(SharedDisks)
    case edges(DiskEdges)
    case initiator(ISCSIName)
    case attached(SharedDisk)
    /// Whether there was anything to give back.
    case detached(Bool)

    var disks: SharedDisks? { if case .disks(let disks) = self { disks } else { nil } }
    var edges: DiskEdges? { if case .edges(let edges) = self { edges } else { nil } }
    var initiator: ISCSIName? { if case .initiator(let name) = self { name } else { nil } }
    var attached: SharedDisk? { if case .attached(let disk) = self { disk } else { nil } }
    var detached: Bool? { if case .detached(let wasThere) = self { wasThere } else { nil } }

    /// What the order asked for. Throws where it is something else: nobody goes on as if there had been no answer.
    func value<Value>(_ value: KeyPath<ShareAnswer, Value?>, from host: HostName) throws -> Value {
        guard let value = self[keyPath: value] else {
            throw Failure(
                .failed, "\(host) gave an answer that does not fit the request", host: host.text,
                remedy: "install the same version of xenlvs on both hosts")
        }
        return value
    }
}

extension RemoteHost {
    /// As `share`, with the answer that the order is to get.
    func share<Value>(_ order: ShareOrder, _ value: KeyPath<ShareAnswer, Value?>) async throws -> Value {
        try await share(order).value(value, from: name)
    }
}

/// A disk that is to be attached.
public struct SharedTarget: Sendable, Codable {
    /// The portals by which a host attaches one.
    static let mostPortals = 8

    public enum Way: Sendable, Codable {
        case iscsi(target: ISCSIName, lun: Int, portals: [Portal], chapFile: String?)
        /// By every interface on which it answers, where none is named.
        case aoe(AoEAddress, interfaces: [InterfaceName])
    }

    public var name: VolumeName
    public var way: Way
    /// What it has to be.
    public var identity: SharedIdentity
    /// Guests come from the host that serves it, where it takes flushes.
    public var takesFlushes: Bool?

    public init(name: VolumeName, way: Way, identity: SharedIdentity, takesFlushes: Bool? = nil) {
        self.name = name
        self.way = way
        self.identity = identity
        self.takesFlushes = takesFlushes
    }
}

extension ShareOrder {
    /// Whether it only reads.
    var isQuery: Bool {
        switch self {
        case .look, .edges: true
        case .initiator, .attach, .detach: false
        }
    }

    /// How long the other host may take for it.
    var limit: Duration {
        switch self {
        case .look: .seconds(120)
        case .edges: .seconds(60)
        case .initiator: .seconds(30)
        case .attach, .detach: .seconds(240)
        }
    }

    /// Throws `.usage` for more than an order may carry.
    func check() throws(Failure) {
        switch self {
        case .look(_, let volumes):
            guard volumes.count <= RequestLimits.mostVolumes else {
                throw Failure(.refused, "a request with \(volumes.count) volumes was refused")
            }
        case .attach(let target):
            switch target.way {
            case .iscsi(_, let lun, let portals, let chapFile):
                guard (1...SharedTarget.mostPortals).contains(portals.count), (0...255).contains(lun),
                    !portals.contains(where: \.isWildcard),
                    Set(portals).count == portals.count,
                    chapFile.map({ $0.hasPrefix("/") && $0.utf8.count < 4096 }) ?? true
                else {
                    throw Failure(
                        .refused, "a request to attach \(target.name) was refused: no target can be like that")
                }
            case .aoe(_, let interfaces):
                guard interfaces.count <= 16 else {
                    throw Failure(.refused, "a request with \(interfaces.count) interfaces was refused")
                }
            }
        case .edges, .initiator, .detach: return
        }
    }
}
