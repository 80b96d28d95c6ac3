import HostModel
import Yams

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What serves a host's iSCSI targets.
public enum TargetProgram: String, Sendable, Codable, CaseIterable {
    /// The kernel's own.
    case lio
    /// tgt's daemon, for a kernel that has none.
    case tgt
}

/// The host's configuration file, `/etc/xenlvs/xenlvs.yaml`. Every key has a default; unknown keys are errors.
public struct HostConfiguration: Sendable, Equatable {
    /// The name other hosts know this one by; the kernel's host name where it is not set.
    public var host: String?
    /// The address DRBD binds to on this host; by default the one that the route to the other host uses.
    public var replicationAddress: String?
    /// The volume group for new volumes.
    public var volumeGroup = "vg0"
    /// DRBD ports, both inclusive.
    public var ports = 7800...7999
    /// DRBD minors, both inclusive.
    public var minors = 0...999
    /// How fast a resynchronisation may be, per second; nil for as fast as it goes.
    public var bandwidth: ByteCount?
    /// Whether the source's volumes are removed once a migration has ended.
    public var removesSource = false
    public var iSCSITarget = TargetProgram.lio

    public init() {}

    static let keys: Set<String> = [
        "host", "replication_address", "volume_group", "ports", "minors", "bandwidth", "remove_source",
        "iscsi_target",
    ]

    /// Reads the file at `path`; a file that is not there gives the defaults.
    public static func load(_ path: String) throws -> HostConfiguration {
        guard let data = FileManager.default.contents(atPath: path) else { return HostConfiguration() }
        return try parse(String(decoding: data, as: UTF8.self), path: path)
    }

    /// Parses the file's text. Throws a `.usage` failure that names the key.
    public static func parse(_ text: String, path: String) throws -> HostConfiguration {
        let document: Any?
        do { document = try Yams.load(yaml: text) } catch {
            throw Failure(.usage, "cannot read \(path)", why: "it is not YAML: \(error)")
        }
        guard let document else { return HostConfiguration() }
        guard let entries = document as? [String: Any] else {
            throw Failure(.usage, "cannot read \(path)", why: "it must be a list of 'key: value'")
        }
        if let unknown = entries.keys.first(where: { !keys.contains($0) }) {
            throw Failure(
                .usage, "\(path) has an unknown key '\(unknown)'",
                remedy: "the keys are \(keys.sorted().joined(separator: ", "))")
        }
        var reader = Reader(entries: entries, path: path)
        return try reader.configuration()
    }

    private struct Reader {
        let entries: [String: Any]
        let path: String

        mutating func configuration() throws -> HostConfiguration {
            var configuration = HostConfiguration()
            configuration.host = try text("host").map { try HostName($0).text }
            configuration.replicationAddress = try text("replication_address")
            if let group = try text("volume_group") { configuration.volumeGroup = try VolumeGroupName(group).text }
            if let ports = try range("ports", within: 1...65535) { configuration.ports = ports }
            if let minors = try range("minors", within: 0...1_048_575) { configuration.minors = minors }
            if let text = try text("bandwidth") {
                guard let bandwidth = ByteCount(parsing: text) else {
                    throw wrong("bandwidth", "it must be a size such as 50M")
                }
                configuration.bandwidth = bandwidth
            }
            if let value = entries["remove_source"] {
                guard let flag = value as? Bool else { throw wrong("remove_source", "it must be true or false") }
                configuration.removesSource = flag
            }
            if let text = try text("iscsi_target") {
                guard let program = TargetProgram(rawValue: text) else {
                    let words = TargetProgram.allCases.map(\.rawValue).joined(separator: " or ")
                    throw wrong("iscsi_target", "it must be \(words)")
                }
                configuration.iSCSITarget = program
            }
            return configuration
        }

        func text(_ key: String) throws -> String? {
            guard let value = entries[key] else { return nil }
            guard let text = value as? String else { throw wrong(key, "it must be text") }
            return text
        }

        /// `7800-7999`.
        func range(_ key: String, within limits: ClosedRange<Int>) throws -> ClosedRange<Int>? {
            guard let text = try text(key) else { return nil }
            let ends = text.split(separator: "-").compactMap { Int($0) }
            guard ends.count == 2, ends[0] <= ends[1], limits.contains(ends[0]), limits.contains(ends[1]) else {
                throw wrong(key, "it must be FIRST-LAST within \(limits.lowerBound)-\(limits.upperBound)")
            }
            return ends[0]...ends[1]
        }

        func wrong(_ key: String, _ why: String) -> Failure {
            Failure(.usage, "the key '\(key)' in \(path) is wrong", why: why)
        }
    }
}
