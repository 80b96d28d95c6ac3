import DeviceMapper
import HostModel
import Storage

/// What the kernel tells of paths, and how that is put. Pure.
extension AttachmentPath {
    /// The paths of one device with what the kernel tells of them. What its map has beside them comes after them: a disk that is
    /// gone stays a path of its map until that gets another table.
    static func completed(
        _ rows: [AttachmentPath], by map: KernelMap?, _ disks: [KernelDisk]
    ) -> [AttachmentPath] {
        var rest = map?.paths ?? []
        let known = rows.map { row in
            var row = row
            row.map = map
            if let disk = disks.first(where: { $0.name == row.disk }) { row.take(disk) }
            if let index = rest.firstIndex(where: { $0.device.description == row.number }) {
                row.take(rest.remove(at: index))
            }
            return row
        }
        guard let device = known.first else { return [] }
        return known + rest.map { device.other($0, disks) }
    }

    private mutating func take(_ disk: KernelDisk) {
        (number, hctl, diskState) = (disk.number, disk.address, disk.state)
    }

    private mutating func take(_ path: KernelMap.Path) {
        (group, dmState, failures) = (path.group, path.state, path.failures)
    }

    /// A path of the same device's map by which nothing leads that is recorded.
    private func other(_ path: KernelMap.Path, _ disks: [KernelDisk]) -> AttachmentPath {
        let disk = disks.first { $0.number == path.device.description }
        var row = AttachmentPath(
            name: name, networkProtocol: networkProtocol, device: device, size: size, wwid: wwid, serial: serial,
            map: map, path: "-", disk: disk?.name, number: path.device.description,
            isUp: disk != nil && path.state == .active,
            why: disk == nil
                ? "the kernel has no such disk any more" : "the map has it, and nothing that is recorded leads to it")
        if let disk { row.take(disk) }
        row.take(path)
        return row
    }

    /// What all paths of its device have in common, on one line: `web1: 10 GiB, WWID 36001405…, LIO-ORG IBLOCK, iscsi,
    /// /dev/mapper/web1 (dm-3), wp rw, features queue_if_no_path, handler alua, selector service-time`.
    public var deviceWords: String {
        func listed(_ words: [String]) -> String { words.isEmpty ? "none" : words.joined(separator: " ") }
        var words = ["\(name): \(size.map(\.description) ?? "size unknown")"]
        if let identity = wwid.map({ "WWID \($0)" }) ?? serial.map({ "serial \($0)" }) { words.append(identity) }
        let maker = [vendor, product].compactMap(\.self).joined(separator: " ")
        if !maker.isEmpty { words.append(maker) }
        words += [networkProtocol, (device ?? "no device") + (map.map { " (\($0.dm))" } ?? "")]
        if let isReadOnly { words.append("wp \(isReadOnly ? "ro" : "rw")") }
        if let map {
            let selectors = map.groups.map(\.selector)
            let each = selectors.indices.filter { selectors.firstIndex(of: selectors[$0]) == $0 }
            words += [
                "features \(listed(map.features))", "handler \(map.hardwareHandler ?? "none")",
                "selector \(listed(each.map { selectors[$0] }))",
            ]
        }
        return words.joined(separator: ", ")
    }

    /// Its group and how the kernel has that: `1 active`; nil where it is in none.
    public var groupWords: String? {
        guard let group else { return nil }
        let state = map?.groups.dropFirst(group - 1).first?.state
        return (["\(group)"] + [state?.rawValue].compactMap(\.self)).joined(separator: " ")
    }

    /// How device-mapper has the path, and the kernel its disk: `active running`; nil where there is neither.
    public var kernelWords: String? {
        let words = [dmState?.rawValue, diskState].compactMap(\.self)
        return words.isEmpty ? nil : words.joined(separator: " ")
    }
}
