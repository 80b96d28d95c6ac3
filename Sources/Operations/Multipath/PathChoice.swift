import HostModel

/// Which disks of a WWID a map is made of, and how large it is. They need not have one size: when a disk grows, the kernel
/// keeps the former one by every path that is down, until it can ask again. Such a disk is left out, and keeps no other from
/// being used. Pure.
struct PathChoice: Sendable, Equatable {
    var size: ByteCount
    var disks: [SCSIDisk]
    /// Smaller ones: no map is larger than any of its paths.
    var leftOut: [SCSIDisk]

    /// Nil where it cannot be told which size is right, or no disk has it.
    /// - Parameters:
    ///   - known: what the disk has, where that is recorded.
    ///   - map: what the map has, where there is one.
    init?(of all: [SCSIDisk], known: ByteCount?, map: ByteCount?) {
        guard let size = known ?? Self.size(of: all, map: map), size.sectors > 0 else { return nil }
        // A larger disk serves a map that grows later, by the paths that the kernel has not asked again yet.
        let mayBeLarger = known == nil && map != nil
        let chosen = all.filter { $0.size == size || mayBeLarger && $0.size > size }
        guard !chosen.isEmpty else { return nil }
        self.size = size
        disks = chosen
        leftOut = all.filter { !chosen.contains($0) }
    }

    /// A map never becomes smaller. It grows when every disk that is up, and was large enough for it before, has grown.
    private static func size(of all: [SCSIDisk], map: ByteCount?) -> ByteCount? {
        let up = all.filter(\.isRunning).map(\.size)
        if let map { return up.filter { $0 >= map }.min() ?? map }
        let sizes = Set(up.isEmpty ? all.map(\.size) : up)
        return sizes.count == 1 ? sizes.first : nil
    }
}
