/// What contents and writes are found by.
extension ReplayWindow {
    /// The finishing steps of MurmurHash3's 64 bits.
    @inline(__always) static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ mixed >> 33) &* 0xff51_afd7_ed55_8ccd
        mixed = (mixed ^ mixed >> 33) &* 0xc4ce_b9fe_1a85_ec53
        return mixed ^ mixed >> 33
    }

    /// A hash over whole sectors: four lanes, so that the processor multiplies several at a time, each of two words
    /// folded into one.
    static func hash(_ bytes: UnsafeRawPointer, count: Int, seed: UInt64) -> UInt64 {
        var (first, second, third, fourth) = (seed, ~seed, mix(seed), mix(~seed))
        var offset = 0
        while offset < count {
            first = fold(first, bytes, offset, seed)
            second = fold(second, bytes, offset + 16, seed)
            third = fold(third, bytes, offset + 32, seed)
            fourth = fold(fourth, bytes, offset + 48, seed)
            offset += 64
        }
        return mix(first ^ mix(second ^ mix(third ^ mix(fourth))))
    }

    @inline(__always) private static func fold(
        _ lane: UInt64, _ bytes: UnsafeRawPointer, _ offset: Int, _ secret: UInt64
    ) -> UInt64 {
        let low = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        let high = bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
        let product = (low ^ secret).multipliedFullWidth(by: high ^ lane)
        return product.high ^ product.low &+ lane
    }
}
