import HostModel

/// Makes a volume what its snapshot shows, by writing the blocks that differ. Repeated after it was cut off, it ends with
/// the same.
///
/// The snapshot takes no more room by it: what differs has been kept aside already when it changed.
struct DiskRollback: Sendable {
    var from: String
    var to: String
    var size: ByteCount
    /// Around the page cache; not for files in tests.
    var isDirect = true

    /// Returns how much was written. Blocks.
    func run() throws(Failure) -> ByteCount {
        let snapshot = try ComparedDevice(from, isDirect: isDirect)
        let volume = try ComparedDevice(to, isDirect: isDirect, isWritable: true)
        var written: Int64 = 0
        var offset: Int64 = 0
        while offset < size.bytes {
            let count = Int(min(Int64(ComparedDevice.chunk), size.bytes - offset))
            try snapshot.read(offset, count)
            try volume.read(offset, count)
            for start in snapshot.differences(from: volume, count) {
                let length = min(ComparedDevice.block, count - start)
                try volume.write(snapshot, start, length, at: offset)
                written += Int64(length)
            }
            offset += Int64(count)
        }
        try volume.synchronise()
        return ByteCount(written)
    }
}
