import AoE
import FoundationEssentials
import HostModel

/// What is asked of the daemon: one JSON object a line.
public enum ControlRequest: Sendable, Codable {
    /// Export, and keep it.
    case export(ExportRecord)
    /// Export no longer. `force` also where a client was active within the last minute, or may have been.
    case unexport(address: String, force: Bool)
    /// Tell of all exports.
    case list(statistics: Bool)
    /// Look for backings that have grown, and tell of all exports.
    case rescan
}

/// What the daemon answers: one JSON object a line.
public enum ControlReply: Sendable, Codable {
    case exports([ExportStatus])
    case failure(Failure)
}

/// An export as it stands.
public struct ExportStatus: Sendable, Codable {
    public enum State: String, Sendable, Codable {
        /// On at least one interface that is up.
        case serving
        /// Ready, but none of its interfaces is there, up and free for it.
        case waiting
        /// Its backing cannot be served; it is tried again.
        case failed
        /// It takes no more requests and waits for the last ones.
        case leaving
    }

    public struct Interface: Sendable, Codable {
        public enum State: String, Sendable, Codable { case up, down, gone, waiting }
        public var name: String
        public var state: State
        /// Why it is not served there; nil where it is.
        public var why: String?
    }

    public var record: ExportRecord
    public var state: State
    /// Why it is not served, and what to do; nil where it is.
    public var failure: Failure?
    public var interfaces: [Interface]
    /// In bytes; nil where the backing is not open.
    public var size: ByteCount?
    /// Whether requests go around the page cache; nil where the backing is not open.
    public var isDirect: Bool?
    public var statistics: ExportStatistics?
}

/// Messages as lines.
enum ControlLine {
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }
}
