import HostModel

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// JSON as it stands in the journal and on the agent's channel: one line, sorted keys.
public enum JSONText {
    public static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// Throws `.inconsistent` with what was to be read.
    public static func decode<Value: Decodable>(_ type: Value.Type, from text: String, what: String) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                .inconsistent, "cannot read \(what)", why: String(describing: error),
                remedy: "check that both hosts have the same version of xenlvs")
        }
    }
}
