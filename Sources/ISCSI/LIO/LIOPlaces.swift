import HostModel

/// Where the devices of exports stand in the kernel, or are to be made.
///
/// Each has an adapter of its own. One that serves already stays where it is: earlier versions had all of them on the first
/// adapter, and a device cannot be moved while a target has it.
struct LIOPlaces {
    /// Those that are there, by the volume's name.
    private let present: [VolumeName: String]
    private var places: [VolumeName: String]

    /// - Parameter found: what the kernel has; of it, what is owned counts.
    init(_ found: LIOSnapshot, _ owned: LIOOwnership) {
        let items = Dictionary(owned.items.map { ($0.volume.text[...], $0.volume) }) { first, _ in first }
        var present: [VolumeName: String] = [:]
        for path in found.devices.keys.sorted() {
            guard let volume = LIO.name(ofDevice: path).flatMap({ items[$0] }), present[volume] == nil else { continue }
            present[volume] = path
        }
        self.present = present
        places = present
    }

    /// The device as it is; nil where there is none.
    func present(_ volume: VolumeName) -> String? { present[volume] }

    /// The device as it is to be, once `assign` was asked for it.
    subscript(volume: VolumeName) -> String { places[volume] ?? "\(LIO.adapter(LIO.adapters.lowerBound))/\(volume)" }

    /// Gives every volume a place: its present one, but for what is taken away and was not alone on its adapter; else the
    /// lowest adapter without any device.
    mutating func assign(_ volumes: [VolumeName], _ found: LIOSnapshot, spent: Set<String>) {
        func adapter(_ path: String) -> String { String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]) }
        let crowd = Dictionary(grouping: found.devices.keys, by: adapter).mapValues(\.count)
        var taken = Set(crowd.keys)
        var next = LIO.adapters.lowerBound
        for volume in volumes {
            if let path = present[volume], !spent.contains(path) || crowd[adapter(path)] == 1 { continue }
            while taken.contains(LIO.adapter(next)), next < LIO.adapters.upperBound { next += 1 }
            taken.insert(LIO.adapter(next))
            places[volume] = "\(LIO.adapter(next))/\(volume)"
        }
    }
}

extension LIOSnapshot {
    /// xenlvs's adapters that have no device, once `spent` are gone, and get none.
    func idleAdapters(_ spent: Set<String>, _ needed: Set<String>) -> [String] {
        let rest = devices.keys.filter { !spent.contains($0) } + needed
        return adapters.filter { adapter in
            LIO.number(ofAdapter: adapter) != nil && !rest.contains { $0.hasPrefix(adapter + "/") }
        }.sorted()
    }
}
