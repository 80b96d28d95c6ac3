import DeviceMapper
import Hosts
import Storage

/// A map over paths as device-mapper has it, whoever keeps it: what `multipath -ll` tells of it, but for what multipathd alone
/// knows, such as the priorities by which it has put the groups in order.
public struct KernelMap: Sendable, Encodable, Equatable {
    /// Paths that are used together.
    public struct Group: Sendable, Encodable, Equatable {
        /// `active`: in use, or used last; `enabled`: not in use, as before the first request; `disabled`: passed over. Nil
        /// where the kernel does not say.
        public var state: MultipathStatus.Group.State?
        /// How requests are spread over its paths, as the kernel names it: `service-time`.
        public var selector: String
    }

    /// Whether the kernel sends requests by a path, or has failed it.
    public enum PathState: String, Sendable, Encodable { case active, failed }

    struct Path: Sendable, Equatable {
        var device: BlockDeviceNumber
        /// From 1.
        var group: Int
        /// Nil where the kernel does not say.
        var state: PathState?
        var failures: Int?
    }

    /// The kernel's name: `dm-3`.
    public var dm: String
    /// As the kernel has them: `queue_if_no_path`, `queue_mode bio`.
    public var features: [String]
    /// `alua`; nil where there is none.
    public var hardwareHandler: String?
    /// In the order in which the kernel tries them; a path's `group` is its place here, from 1.
    public var groups: [Group]
    var paths: [Path]

    private enum CodingKeys: String, CodingKey { case dm, features, hardwareHandler, groups }

    /// Nil for a device that is no map over paths.
    init?(_ device: MappedDevice, _ status: MultipathStatus?) {
        guard let layout = device.table?.multipathLayout else { return nil }
        dm = "dm-\(device.number.minor)"
        features = layout.features
        hardwareHandler = layout.hardwareHandler
        groups = []
        paths = []
        for (index, group) in layout.groups.enumerated() {
            // Between the questions for table and status the map may have got another table.
            let now = status?.groups.dropFirst(index).first.flatMap {
                $0.paths.map(\.device) == group.paths ? $0 : nil
            }
            groups.append(Group(state: now?.state, selector: group.selector))
            paths += group.paths.enumerated().map { place, device in
                let path = now?.paths[place]
                return Path(
                    device: device, group: index + 1, state: path.map { $0.isActive ? .active : .failed },
                    failures: path?.failures)
            }
        }
    }

    /// Nil where there is no such map. So it is where the kernel cannot be asked: what is listed beside it stands without.
    /// - Parameter uuid: device-mapper's.
    static func read(uuid: String, _ mapper: any MappedDevices) async -> KernelMap? {
        try? await Blocking.run("device-mapper") { () throws -> KernelMap? in
            guard let device = try mapper.find(uuid: uuid) else { return nil }
            return KernelMap(device, try mapper.status(device.identity))
        }
    }
}
