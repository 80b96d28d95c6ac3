import AoE
import CLinux
import HostModel
import Serving

/// The threads that serve, each a part of the targets, on all interfaces.
struct TargetThreads {
    /// More would each need their part of every interface's frames, and the memory of their requests.
    private static let limit = 4
    private let threads: [TargetThread]

    /// - Parameter count: how many, a power of two; nil for as many as the processors allow.
    init(count: Int?) throws(Failure) {
        let count = count ?? Shard.count(processors: Int(xenlvs_processor_count()), limit: Self.limit)
        var threads: [TargetThread] = []
        for number in 0..<count { threads.append(try TargetThread(Shard(number, of: count))) }
        self.threads = threads
    }

    /// By their shards' numbers.
    var servers: [ShardServer] { threads.map(\.server) }

    func start() throws(Failure) {
        for thread in threads { try thread.start() }
    }

    /// Whether one of them has.
    var haveEnded: Bool { threads.contains(where: \.hasEnded) }

    /// Whether all of them carry out an order in time, or wait for a device.
    func areAlive() -> Bool { threads.allSatisfy { $0.isAlive() } }

    /// Ends all of them after what is under way. Throws what kept the first one from that.
    func end() throws(Failure) {
        var failure: Failure?
        for thread in threads { thread.stop() }
        for thread in threads {
            do throws(Failure) { try thread.waitForEnd() } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }
}
