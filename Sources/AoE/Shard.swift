/// A server's part of a process's targets: those whose shelf and slot, added up, leave its number over.
///
/// Several servers share the interfaces, each on a thread of its own. The kernel looks at a frame's address before it
/// copies the frame (PacketPort), so that each server has frames of its own targets only.
public struct Shard: Sendable, Equatable {
    public let number: Int
    /// How many there are, a power of two.
    public let count: Int

    /// The only one.
    public static let whole = Shard(0, of: 1)

    public init(_ number: Int, of count: Int) {
        precondition(count > 0 && count & (count - 1) == 0 && (0..<count).contains(number))
        self.number = number
        self.count = count
    }

    /// The number of the shard, among `count`, that a target belongs to.
    public static func number(of address: AoEAddress, among count: Int) -> Int {
        (Int(address.shelf) + Int(address.slot)) & (count - 1)
    }

    public func holds(_ address: AoEAddress) -> Bool { Self.number(of: address, among: count) == number }

    /// As many as leave one of the processors to all else, but a power of two, at least one and at most `limit`. A thread that
    /// has to share its processor costs more than it brings (docs/performance.md, "What was tried").
    public static func count(processors: Int, limit: Int) -> Int {
        1 << (Int.bitWidth - 1 - max(1, min(limit, processors - 1)).leadingZeroBitCount)
    }
}
