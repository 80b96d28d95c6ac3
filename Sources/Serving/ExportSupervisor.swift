import AoE
import BlockServer
import Glibc
import HostModel
import Hosts
import Synchronization

/// One of a daemon's servers, which run on threads of their own.
public struct ShardServer: Sendable {
    let orders: ServerOrders
    let pool: BlockPool.Handle

    /// - Parameter pool: the server's.
    public init(orders: ServerOrders, pool: BlockPool.Handle) {
        self.orders = orders
        self.pool = pool
    }
}

/// Keeps what is served at what operators have asked for: knows all exports, opens and installs them, tries again what
/// could not be served, and answers commands.
///
/// Three kinds of threads meet here. The target servers' own only ever carry out orders. Commands and the daemon's
/// clock (`tick`) change exports one at a time; what may hang, the opening of a device, is left to threads of its own.
/// Looking at exports waits for none of that.
public final class ExportSupervisor: Sendable {
    /// Throws why an export's volume must not be served now.
    public typealias Scrutiny = @Sendable (ExportRecord) throws(Failure) -> Void

    static let limit = AoEServer.Limits.shared.targets
    static let openingMilliseconds = 5_000
    static let idleMilliseconds: Int64 = 60_000
    static let drainSeconds = 30
    /// Ticks between two tries of what has failed, and between two looks for backings that have grown.
    static let retryTicks = 5
    static let rescanTicks = 10

    /// The servers, by their shards' numbers.
    private let servers: [ShardServer]
    let store: ExportStore
    let paths: ServingPaths
    let scrutiny: Scrutiny
    let report: @Sendable (String) -> Void
    let entries = Mutex<[AoEAddress: ExportEntry]>([:])
    /// Held by whoever changes exports.
    let changing = Mutex<Int>(0)

    /// - Parameters:
    ///   - servers: those that serve, by their shards' numbers.
    ///   - report: told of what an operator should know.
    /// Throws where the list of exports cannot be read.
    public init(
        servers: [ShardServer], paths: ServingPaths, scrutiny: @escaping Scrutiny,
        report: @escaping @Sendable (String) -> Void
    ) throws(Failure) {
        self.servers = servers
        self.paths = paths
        self.scrutiny = scrutiny
        self.report = report
        try PrivateDirectory.prepare(paths.state)
        try PrivateDirectory.prepare(paths.targets)
        store = ExportStore(path: paths.exports)
        let records = try store.load()
        let start = ContinuousClock.now
        entries.withLock { entries in
            for record in records {
                entries[record.address] = ExportEntry(
                    record: record, phase: .failed(Failure(.failed, "\(record.path) has not been opened yet")),
                    isKept: true, broughtBack: start)
            }
        }
    }

    /// Carries out a command.
    public func answer(_ request: ControlRequest) -> ControlReply {
        do throws(Failure) {
            switch request {
            case .export(let record): return .exports([try export(record)])
            case .unexport(let address, let force):
                return .exports([try unexport(try AoEAddress(address), force: force)])
            case .list(let statistics): return .exports(list(statistics: statistics))
            case .rescan:
                try changing.withLock { _ throws(Failure) in try rescan() }
                return .exports(list(statistics: false))
            }
        } catch { return .failure(error) }
    }

    /// How all exports stand, by address.
    func list(statistics wanted: Bool) -> [ExportStatus] {
        let known = entries.withLock { Array($0.values) }
        var statuses: [ExportStatus] = []
        for (orders, part) in byServer(known, \.record.address) {
            let ids = part.map(\.installedID)
            do throws(Failure) {
                let (ports, statistics) = try orders.perform { server throws(Failure) in
                    (server.portStatus, ids.map { id in wanted ? id.flatMap { try? server.statistics(of: $0) } : nil })
                }
                statuses += zip(part, statistics).map { $0.status(ports: ports, statistics: $1) }
            } catch {
                // One server that waits for a device does not hide the exports of the others.
                statuses += part.map { $0.status(unanswered: error) }
            }
        }
        return statuses.sorted { $0.record.address < $1.record.address }
    }

    /// The server that has, or is to have, the target with this address.
    func server(of address: AoEAddress) -> ShardServer {
        servers[Shard.number(of: address, among: servers.count)]
    }

    /// What is to be asked of each server, of elements that have an address; nothing of a server without any.
    func byServer<Element>(_ all: [Element], _ address: (Element) -> AoEAddress) -> [(ServerOrders, [Element])] {
        servers.indices.compactMap { number in
            let part = all.filter { Shard.number(of: address($0), among: servers.count) == number }
            return part.isEmpty ? nil : (servers[number].orders, part)
        }
    }

    func status(of address: AoEAddress) throws(Failure) -> ExportStatus {
        guard let entry = entries.withLock({ $0[address] }) else { throw Self.unknown(address) }
        let ports = try server(of: address).orders.perform { server throws(Failure) in server.portStatus }
        return entry.status(ports: ports, statistics: nil)
    }

    static func unknown(_ address: AoEAddress) -> Failure {
        Failure(.notFound, "there is no export \(address)", remedy: "see 'xenlvs exports'")
    }

    /// Changes what is known of an export; nothing where it is not known any more.
    func update(_ address: AoEAddress, _ change: (inout ExportEntry) -> Void) {
        entries.withLock { entries in
            guard var entry = entries[address] else { return }
            change(&entry)
            entries[address] = entry
        }
    }

    /// Stores the list of exports that are to be kept. Only for who holds `changing`.
    func keep() throws(Failure) {
        try store.save(entries.withLock { $0.values.filter(\.isKept).map(\.record) })
    }
}

extension ExportEntry {
    var installedID: AoEServer.TargetID? {
        switch phase {
        case .installed(let installed): installed.id
        case .leaving(let id): id
        case .opening, .failed: nil
        }
    }
}
