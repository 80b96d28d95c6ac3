import BlockServer

/// Numbered places for values that must not move: an owner of raw memory, because a value is reached by its number for
/// every frame, without copies or reference counts.
struct SlotTable<Element: ~Copyable>: ~Copyable {
    let capacity: Int
    private let elements: UnsafeMutablePointer<Element>
    private let used: UnsafeMutablePointer<Bool>
    /// One more than the highest number that is used.
    private(set) var end = 0

    init(capacity: Int) {
        self.capacity = capacity
        elements = .allocate(capacity: capacity)
        used = .allocate(capacity: capacity)
        used.initialize(repeating: false, count: capacity)
    }

    deinit {
        empty()
        elements.deallocate()
        used.deallocate()
    }

    /// Lets all values go; only where nothing is put or removed afterwards.
    func empty() {
        for number in 0..<end where used[number] {
            used[number] = false
            (elements + number).deinitialize(count: 1)
        }
    }

    /// Whether there is a value of this number.
    @inline(__always) func holds(_ number: Int) -> Bool { number < end && used[number] }

    /// The place of a value; only where `holds`.
    @inline(__always) subscript(number: Int) -> UnsafeMutablePointer<Element> { elements + number }

    /// The lowest number that is free; nil where the table is full.
    var firstFree: Int? {
        for number in 0..<capacity where !used[number] { return number }
        return nil
    }

    /// Puts a value under a free number.
    mutating func put(_ element: consuming Element, at number: Int) {
        precondition(number < capacity && !used[number])
        (elements + number).initialize(to: element)
        used[number] = true
        end = max(end, number + 1)
    }

    mutating func remove(_ number: Int) -> Element {
        precondition(holds(number))
        used[number] = false
        while end > 0, !used[end - 1] { end -= 1 }
        return (elements + number).move()
    }
}
