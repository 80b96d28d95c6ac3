import Foundation

/// Turns a line of JSON into one that is wrong in some way. The same seed gives the same lines.
struct Mutator {
    /// JSON whose keys and leaves are text that is encoded already.
    private indirect enum Tree {
        case object([(key: String, value: Tree)])
        case list([Tree])
        case leaf(String)

        init(_ value: Any) throws {
            switch value {
            case let fields as [String: Any]:
                let sorted = fields.sorted { $0.key < $1.key }
                self = .object(try sorted.map { (try Tree.text($0.key), try Tree($0.value)) })
            case let values as [Any]: self = .list(try values.map { try Tree($0) })
            default: self = .leaf(try Tree.text(value))
            }
        }

        private static func text(_ value: Any) throws -> String {
            let data = try JSONSerialization.data(
                withJSONObject: value, options: [.fragmentsAllowed, .withoutEscapingSlashes])
            return String(decoding: data, as: UTF8.self)
        }

        func write(to text: inout String) {
            switch self {
            case .leaf(let leaf): text += leaf
            case .list(let values):
                for (index, value) in values.enumerated() {
                    text += index == 0 ? "[" : ","
                    value.write(to: &text)
                }
                text += values.isEmpty ? "[]" : "]"
            case .object(let fields):
                for (index, field) in fields.enumerated() {
                    text += index == 0 ? "{" : ","
                    text += field.key + ":"
                    field.value.write(to: &text)
                }
                text += fields.isEmpty ? "{}" : "}"
            }
        }
    }

    private let lines: [[UInt8]]
    private let trees: [Tree]
    private var state: UInt64

    init(seed: UInt64, _ lines: [String]) throws {
        state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        self.lines = lines.map { Array($0.utf8) }
        trees = try lines.map { try Tree(JSONSerialization.jsonObject(with: Data($0.utf8))) }
    }

    private mutating func number(below limit: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(truncatingIfNeeded: state >> 33) % limit
    }

    private mutating func pick<Element>(_ elements: [Element]) -> Element { elements[number(below: elements.count)] }

    /// One of the lines, with its bytes or its structure changed.
    mutating func next() -> [UInt8] {
        if number(below: 3) == 0 { return changedBytes() }
        var tree = pick(trees)
        for _ in 0...number(below: 2) { tree = changed(tree) }
        var text = ""
        tree.write(to: &text)
        return Array(text.utf8)
    }

    // MARK: Bytes

    private mutating func changedBytes() -> [UInt8] {
        var bytes = pick(lines)
        for _ in 0...number(below: 3) where !bytes.isEmpty {
            let place = number(below: bytes.count)
            switch number(below: 6) {
            case 0: bytes[place] ^= 1 << UInt8(number(below: 8))
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(UInt8(number(below: 256)), at: place)
            case 3: bytes.removeSubrange(place...)
            case 4: bytes += pick(lines)
            default: bytes.insert(contentsOf: Array(pick(Self.tokens).utf8), at: place)
            }
        }
        return bytes
    }

    private static let tokens = [
        "\"", "{", "}", "[", "]", ",", ":", "null", "-", "9", "e999", "\\u0000", "\\ud800", "../", "true", "0.5", "\n",
    ]

    // MARK: Structure

    private mutating func changed(_ tree: Tree) -> Tree {
        switch tree {
        case .object(var fields) where !fields.isEmpty && number(below: 12) > 0:
            let place = number(below: fields.count)
            switch number(below: 10) {
            case 0: fields.remove(at: place)
            case 1: fields[place].value = pick(fields).value
            case 2: fields.append((pick(number(below: 2) == 0 ? fields.map(\.key) : Self.texts), fields[place].value))
            default: fields[place].value = changed(fields[place].value)
            }
            return .object(fields)
        case .list(var values) where !values.isEmpty && number(below: 12) > 0:
            let place = number(below: values.count)
            switch number(below: 5) {
            case 0: values.remove(at: place)
            case 1: values += Array(repeating: values[place], count: pick([1, 2, 200]))
            default: values[place] = changed(values[place])
            }
            return .list(values)
        case .leaf, .object, .list: return odd(tree)
        }
    }

    private mutating func odd(_ tree: Tree) -> Tree {
        switch number(below: 8) {
        case 0: return .leaf("null")
        case 1, 2: return .leaf(pick(Self.numbers))
        case 3, 4, 5:
            // Mostly of the kind that stood there: what is of another kind does not get far.
            guard case .leaf(let text) = tree else { return .list([tree, tree]) }
            return .leaf(pick(text.hasPrefix("\"") ? Self.texts : Self.numbers))
        case 6: return .object([])
        default: return pick(trees)
        }
    }

    private static let numbers = [
        "0", "1", "-1", "2", "3", "4", "7", "8", "511", "512", "70000", "1048576", "2147483648", "-2147483648",
        "1099511627776", "9007199254740992", "1152921504606846976", "9223372036854775807", "-9223372036854775808",
        "18446744073709551615", "0.5", "1e300", "-1e300", "1e400", "true",
    ]

    /// Encoded once, here by hand.
    private static let texts =
        [
            "", ".", "..", "../../etc/passwd", "/etc/passwd", "-x", "--config", "a b", #"a\nb"#, #"a\u0000b"#,
            "web1;reboot", "$(reboot)", #"\u001b]0;x\u0007"#, #"\u202e"#, "ä", "a\u{20DD}",
            String(repeating: "n", count: 300), String(repeating: "x", count: 20_000), "db", "old", "root", "web1",
            "vg0", "vg1", "nodea", "nodec", "nodeb", "web1-20261121-0001", "web1-20261121-0002", "web1-20261121-0003",
            "web1-20261121-0004", "shop", "source", "target", "late", "early", "cleanSource", "continueOnVolume",
            "makeTargetReplica", "promoteTarget", "acknowledgeDecision", "hello", "perform", "mirror", "127.0.0.1",
            "::1", "fe80::1%lo", "xvdb",
        ].map { "\"\($0)\"" }
}
