import CLinux
import Glibc

/// Programs for SO_ATTACH_FILTER, by which the kernel looks at a frame before it copies it
/// (Documentation/networking/filter.rst). Pure.
enum SocketFilter {
    private static let loadHalf = UInt16(0x28)
    private static let loadByte = UInt16(0x30)
    private static let copyToX = UInt16(0x07)
    private static let addX = UInt16(0x0c)
    private static let and = UInt16(0x54)
    private static let jumpIfEqual = UInt16(0x15)
    private static let jumpIfAnySet = UInt16(0x45)
    private static let end = UInt16(0x06)

    /// Lets AoE requests through that are for targets of the shard, or that have wildcards, and of each `length` bytes.
    static func requests(of shard: Shard, keeping length: UInt32) -> [sock_filter] {
        var code: [(UInt16, yes: Way, no: Way, UInt32)] = [
            (loadHalf, .on, .on, UInt32(Wire.Offset.type)),
            (jumpIfEqual, .on, .drop, UInt32(Wire.etherType)),
            (loadByte, .on, .on, UInt32(Wire.Offset.versionAndFlags)),
            (jumpIfAnySet, .drop, .on, UInt32(Wire.Flag.response)),
        ]
        if shard.count > 1 {
            code += [
                (loadByte, .on, .on, UInt32(Wire.Offset.slot)),
                (jumpIfEqual, .take, .on, 0xff),
                (copyToX, .on, .on, 0),
                (loadHalf, .on, .on, UInt32(Wire.Offset.shelf)),
                (jumpIfEqual, .take, .on, 0xffff),
                (addX, .on, .on, 0),
                (and, .on, .on, UInt32(shard.count - 1)),
                (jumpIfEqual, .take, .drop, UInt32(shard.number)),
            ]
        }
        let (take, drop) = (code.count, code.count + 1)
        func distance(_ way: Way, from position: Int) -> UInt8 {
            switch way {
            case .on: 0
            case .take: UInt8(take - position - 1)
            case .drop: UInt8(drop - position - 1)
            }
        }
        let jumps = code.enumerated().map { position, step in
            sock_filter(
                code: step.0, jt: distance(step.yes, from: position), jf: distance(step.no, from: position), k: step.3)
        }
        return jumps + [
            sock_filter(code: end, jt: 0, jf: 0, k: length), sock_filter(code: end, jt: 0, jf: 0, k: 0),
        ]
    }

    /// Of no frame a single byte.
    static var nothing: [sock_filter] { [sock_filter(code: end, jt: 0, jf: 0, k: 0)] }

    private enum Way { case on, take, drop }
}
