import HostModel

/// The DRBD minors and TCP ports that are taken on a host, by DRBD, by other programs or by a record.
public struct NumbersInUse: Sendable, Codable, Equatable {
    public var minors: Set<Int>
    public var ports: Set<Int>

    public init(minors: Set<Int> = [], ports: Set<Int> = []) {
        self.minors = minors
        self.ports = ports
    }

    /// The local ports in `/proc/net/tcp` or `/proc/net/tcp6`, in whatever state (proc(5): the second column is
    /// `ADDRESS:PORT`, hexadecimal). DRBD's own sockets are in it.
    public static func ports(procNetTCP text: String) -> Set<Int> {
        let lines = text.split(whereSeparator: \.isNewline).dropFirst()
        return Set(
            lines.compactMap { line in
                let columns = line.split(separator: " ")
                guard columns.count > 1, let port = columns[1].split(separator: ":").last else { return nil }
                return Int(port, radix: 16)
            })
    }
}

/// The numbers of one replica.
public struct ReplicaNumbers: Sendable, Codable, Equatable {
    public var sourceMinor: Int
    public var targetMinor: Int
    /// The same on both hosts.
    public var port: Int
}

/// Where new replicas get their numbers from.
public struct NumberRanges: Sendable, Equatable {
    public var minors: ClosedRange<Int>
    public var ports: ClosedRange<Int>

    public init(minors: ClosedRange<Int>, ports: ClosedRange<Int>) {
        self.minors = minors
        self.ports = ports
    }

    /// The end of the ranges from which numbers are taken.
    public enum End: Sendable {
        case lowest, highest
    }

    /// The first numbers from `end` that are free, for `count` replicas.
    /// - Throws: `.refused` where a range is used up.
    public func allocate(
        _ count: Int, source: NumbersInUse, target: NumbersInUse, from end: End = .lowest
    ) throws(Failure) -> [ReplicaNumbers] {
        let sourceMinors = try Self.free(count, of: minors, end, except: source.minors, "DRBD minors of the source")
        let targetMinors = try Self.free(count, of: minors, end, except: target.minors, "DRBD minors of the target")
        let ports = try Self.free(
            count, of: self.ports, end, except: source.ports.union(target.ports), "ports that are free on both hosts")
        return (0..<count).map {
            ReplicaNumbers(sourceMinor: sourceMinors[$0], targetMinor: targetMinors[$0], port: ports[$0])
        }
    }

    private static func free(
        _ count: Int, of range: ClosedRange<Int>, _ end: End, except used: Set<Int>, _ what: String
    ) throws(Failure) -> [Int] {
        let free =
            switch end {
            case .lowest: Array(range.lazy.filter { !used.contains($0) }.prefix(count))
            case .highest: Array(range.reversed().lazy.filter { !used.contains($0) }.prefix(count))
            }
        guard free.count == count else {
            throw Failure(
                .refused, "there are not enough \(what)",
                why: "\(count) are needed and \(free.count) of \(range.lowerBound) to \(range.upperBound) are free",
                remedy: "enlarge the range in xenlvs.yaml, or end migrations that still hold some")
        }
        return free
    }
}
