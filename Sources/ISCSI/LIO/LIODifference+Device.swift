import HostModel

extension LIODevice {
    /// Whether the device cannot be changed into what is wanted.
    ///
    /// What it was enabled with stays, and so does the serial number of a device that is a LUN (target_core_configfs.c,
    /// target_wwn_vpd_unit_serial_store).
    func mustBeRemade(for export: ResolvedExport, isMapped: Bool) -> Bool {
        guard isEnabled else { return false }
        let isSameDevice =
            devicePath == export.devicePath && (deviceNumber.map { $0 == export.deviceNumber } ?? true)
            && (isReadOnly.map { $0 == export.export.isReadOnly } ?? true)
        return !isSameDevice || isMapped && serial != export.identity.serial
    }

    /// The writes that make `found`, or no device, into what is wanted.
    static func writes(from found: LIODevice?, to export: ResolvedExport, at path: String) -> [KernelWrite] {
        var writes: [KernelWrite] = []
        let device = found ?? LIODevice()
        if found == nil { writes.append(.makeDirectory(path)) }
        if !device.isEnabled {
            // What an earlier run may have written before it was cut off counts for nothing until it is enabled.
            writes += [
                .write("udev_path=\(export.devicePath)", to: "\(path)/control"),
                .write("readonly=\(export.export.isReadOnly ? 1 : 0)", to: "\(path)/control"),
                .write(export.devicePath, to: "\(path)/udev_path"),
                .write("1", to: "\(path)/enable"),
            ]
        }
        if device.serial != export.identity.serial {
            writes.append(.write(export.identity.serial, to: "\(path)/wwn/vpd_unit_serial"))
        }
        if device.isThin != export.export.isThin {
            writes.append(.write(export.export.isThin ? "1" : "0", to: "\(path)/attrib/emulate_tpu"))
        }
        return writes
    }
}
