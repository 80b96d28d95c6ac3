import Glibc
import HostModel
import Storage

/// Compares two devices to which a guest writes by a mirror while they are compared.
///
/// Both are read past the host's memory. A write that is under way may be on the one and not yet on the other: a block counts
/// as different only where it has been so, unchanged, over several looks that take far longer than a write. One that changes
/// all the time is looked at until both are the same once.
struct LegComparison: Sendable {
    var first: String
    var second: String
    var size: ByteCount
    /// The most to be read of each in a second.
    var limit: ByteCount?
    /// Around the page cache; not for files in tests.
    var isDirect = true
    /// How long to wait before each further look at what differs.
    var pauses: [Duration] = [50, 200, 500, 1000, 2000, 4000].map(Duration.milliseconds)
    /// What to do about a block that differs, where something is known of it.
    var remedy: String?

    /// So many blocks are kept in mind; where more differ at once these are looked at again first.
    private static let mostSuspects = 256
    /// How often a block may have changed between two looks.
    private static let mostChanges = 100

    /// - Parameter watch: told how much is compared, about every mebibyte; what it throws ends the comparison.
    /// - Throws: `.failed` with the first block that differs, or where one cannot be read.
    func run(_ watch: (ByteCount) throws -> Void) throws {
        let left = try ComparedDevice(first, isDirect: isDirect)
        let right = try ComparedDevice(second, isDirect: isDirect)
        var suspects: [Int64] = []
        var offset: Int64 = 0
        let pace = Pace(limit: limit)
        while offset < size.bytes {
            let count = Int(min(Int64(ComparedDevice.chunk), size.bytes - offset))
            try left.read(offset, count)
            try right.read(offset, count)
            suspects += left.differences(from: right, count).map { offset + Int64($0) }
            if suspects.count >= Self.mostSuspects {
                try settle(suspects, left, right)
                suspects = []
            }
            offset += Int64(count)
            try watch(ByteCount(offset))
            pace.reached(offset)
        }
        try settle(suspects, left, right)
    }

    /// Looks again, all of them in turn, until each was the same once. Throws for one that has stayed different.
    private func settle(_ suspects: [Int64], _ left: borrowing ComparedDevice, _ right: borrowing ComparedDevice) throws
    {
        let patience = pauses.reduce(.zero, +)
        var open = suspects.map {
            (offset: $0, former: (left: UInt64(0), right: UInt64(0)), since: ContinuousClock.now, changes: 0)
        }
        var round = 0
        while !open.isEmpty {
            let pause = pauses[min(round, pauses.count - 1)]
            usleep(UInt32(clamping: pause.milliseconds * 1000))
            round += 1
            for index in open.indices.reversed() {
                let count = Int(min(Int64(ComparedDevice.block), size.bytes - open[index].offset))
                try left.read(open[index].offset, count)
                try right.read(open[index].offset, count)
                guard !left.differences(from: right, count).isEmpty else {
                    open.remove(at: index)
                    continue
                }
                let now = (left: left.sum(count), right: right.sum(count))
                if now != open[index].former {
                    (open[index].former, open[index].since) = (now, ContinuousClock.now)
                    open[index].changes += 1
                    // Soon again: it may rest only for moments.
                    round = 0
                }
                if ContinuousClock.now - open[index].since >= patience { throw different(at: open[index].offset) }
                if open[index].changes > Self.mostChanges { throw restless(at: open[index].offset) }
            }
        }
    }

    private func different(at offset: Int64) -> Failure {
        Failure(
            .failed, "\(first) and \(second) are not the same",
            why: "the block at byte \(offset) differs, and has not changed meanwhile", remedy: remedy)
    }

    private func restless(at offset: Int64) -> Failure {
        Failure(
            .failed, "\(first) and \(second) cannot be compared",
            why: "the block at byte \(offset) was different in each of many looks, and another one each time",
            remedy: "repeat it when the guest writes less")
    }
}
