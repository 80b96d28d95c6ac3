/// Words of what the kernel prints, one after the other.
struct WordReader {
    private var words: ArraySlice<Substring>

    init(_ text: String) { words = text.split(separator: " ")[...] }

    var isAtEnd: Bool { words.isEmpty }

    mutating func next() -> Substring? { words.popFirst() }

    mutating func number() -> Int? { words.popFirst().flatMap { Int($0) } }

    /// How many of something follow; nil for more than `limit`, or fewer than none.
    mutating func count(upTo limit: Int) -> Int? { number().flatMap { (0...limit).contains($0) ? $0 : nil } }

    mutating func take(_ count: Int) -> [Substring]? {
        guard (0...1024).contains(count), words.count >= count else { return nil }
        defer { words = words.dropFirst(count) }
        return Array(words.prefix(count))
    }

    /// A number, and so many words behind it.
    mutating func counted() -> [Substring]? { number().flatMap { take($0) } }
}
