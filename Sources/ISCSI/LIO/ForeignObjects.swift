import HostModel

/// What stands in the kernel's target and is not of xenlvs's making. It is left alone; where it is in the way of an
/// export, the export is refused.
public struct ForeignObjects: Sendable, Equatable {
    /// By name.
    public let targets: [String: LIOTarget]
    /// By path.
    public let devices: [String: LIODevice]
    private let found: LIOSnapshot
    private let owned: LIOOwnership

    public init(_ found: LIOSnapshot, _ owned: LIOOwnership) {
        self.found = found
        self.owned = owned
        targets = found.targets.filter { !owned.owns(target: $0.key) }
        devices = found.devices.filter { !owned.owns(device: $0.key) }
    }

    /// - Throws: `.busy` or `.refused` with what is in the way.
    func check(_ wanted: ResolvedState) throws(Failure) {
        for export in wanted.exports {
            try checkNames(export)
            try checkDevice(export)
            try checkPortals(export)
        }
        let users = found.targetsByDevice
        for device in found.devices.keys.sorted() where owned.owns(device: device) {
            if let target = users[device]?.first(where: { !owned.owns(target: $0) }) {
                throw Failure(
                    .busy, "cannot change the export of '\(LIO.name(ofDevice: device) ?? "")'",
                    why: "the target \(target), which xenlvs did not make, serves its backstore too",
                    remedy: "remove that LUN with the program that made it, such as targetcli")
            }
        }
    }

    private func checkNames(_ export: ResolvedExport) throws(Failure) {
        let what = "cannot export '\(export.export.volume)' as \(export.export.target)"
        if targets[export.export.target.text] != nil {
            throw Failure(
                .busy, what, why: "there is a target of that name, which xenlvs did not make",
                remedy: "give another name, or remove it with the program that made it, such as targetcli")
        }
        if let device = devices.keys.first(where: { LIO.name(ofDevice: $0) == export.export.volume.text[...] }) {
            throw Failure(
                .busy, what, why: "there is a backstore \(device), which xenlvs did not make",
                remedy: "remove it with the program that made it, such as targetcli")
        }
        guard export.devicePath.utf8.count <= LIO.longestDevicePath,
            !export.devicePath.contains(where: { $0 == "," || $0.isWhitespace })
        else {
            throw Failure(
                .refused, what, why: "the kernel's target cannot take the path '\(export.devicePath.prefix(100))'")
        }
    }

    private func checkDevice(_ export: ResolvedExport) throws(Failure) {
        let what = "cannot export '\(export.export.volume)'"
        for (path, device) in devices {
            if device.devicePath == export.devicePath || device.deviceNumber == export.deviceNumber {
                throw Failure(
                    .busy, what, why: "the backstore \(path), which xenlvs did not make, has its device",
                    remedy: "remove it with the program that made it, such as targetcli")
            }
            if !device.serial.isEmpty, DeviceIdentity.wwid(ofSerial: device.serial) == export.identity.wwid {
                throw Failure(
                    .refused, what, why: "the backstore \(path) has the same WWID \(export.identity.wwid)",
                    remedy: "give that one another serial number: initiators would take both for one disk")
            }
        }
    }

    /// A socket on every address and one on a single address cannot listen on the same port.
    private func checkPortals(_ export: ResolvedExport) throws(Failure) {
        for (name, target) in targets {
            let theirs = target.groups.values.flatMap(\.portals).compactMap { try? Portal($0) }.filter(\.isWildcard)
            guard let clash = export.export.portals.first(where: { ours in theirs.contains { $0.port == ours.port } })
            else { continue }
            throw Failure(
                .busy, "cannot export '\(export.export.volume)' on \(clash)",
                why: "the target \(name), which xenlvs did not make, has that port on every address",
                remedy: "use another port, or give that target single addresses")
        }
    }
}
