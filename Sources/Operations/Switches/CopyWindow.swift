import HostModel

/// How a copy below a running guest is divided: into regions, and, where it is to be slow, into windows. Pure.
///
/// dm-mirror copies region by region, and has no limit of its own that holds: `raid1_resync_throttle` counts in ticks of the
/// kernel's clock, in which a fast disk has done its work unseen. So as much is put into the mirror as may be copied in some
/// seconds, and more once that time is over.
struct CopyWindow: Sendable, Equatable {
    var size: ByteCount
    /// The most to be copied in a second.
    var limit: ByteCount?

    /// How long a window's worth may take. Each is an exchange of the switch's table, which the guest may feel.
    static let period = Duration.seconds(2)
    /// The log has a bit for each region, and is written as a whole.
    static let mostRegions: Int64 = 1 << 18
    static let smallestRegion = ByteCount.kibibytes(512)

    /// A power of two. What a guest writes to a region waits while that is copied.
    var region: ByteCount {
        var region = Self.smallestRegion
        while size.bytes / region.bytes > Self.mostRegions { region = ByteCount(region.bytes * 2) }
        return region
    }

    /// The kernel's header of 1 KiB and a bit for each region.
    var logSize: ByteCount { ByteCount(4096 + size.bytes / region.bytes / 8).roundedUp(to: .kibibytes(4)) }

    private var piece: ByteCount {
        guard let limit else { return size }
        let wanted = limit.bytes / 1000 * Self.period.milliseconds
        return ByteCount(max(1, wanted / region.bytes) * region.bytes)
    }

    /// The next window after `window`, of which all is copied; nil where that was everything.
    func next(after window: ByteCount) -> ByteCount? {
        window >= size ? nil : min(size, window + piece)
    }

    /// How long the growth by which `window` came about may not be followed by another.
    func pause(from former: ByteCount, to window: ByteCount) -> Duration {
        guard let limit, limit.bytes > 0 else { return .zero }
        return .milliseconds((window - former).bytes * 1000 / limit.bytes)
    }

    /// How much of the whole is copied.
    func copied(synced: Int, of window: ByteCount) -> ByteCount {
        min(window, ByteCount(Int64(synced) * region.bytes))
    }
}
