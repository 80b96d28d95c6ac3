/// LVM's list of the devices that it looks at (lvmdevices(8)): lines such as
/// `IDTYPE=sys_wwid IDNAME=naa.6001405… DEVNAME=/dev/sdb PVID=…`.
public struct LVMDevicesFile: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        /// What the device is known by: `naa.6001405…`, `mpath-36001405…`.
        public var identity: String
        /// The name that it had when LVM last saw it; `.` where it had none.
        public var name: String
    }

    public let path: String
    public let entries: [Entry]

    /// - Parameter path: where the text stands.
    public init(parsing text: String, path: String) {
        self.path = path
        entries = text.split(whereSeparator: \.isNewline).compactMap { line in
            var values: [Substring: Substring] = [:]
            for word in line.split(whereSeparator: \.isWhitespace) {
                let parts = word.split(separator: "=", maxSplits: 1)
                if parts.count == 2 { values[parts[0]] = parts[1] }
            }
            guard !line.hasPrefix("#"), let identity = values["IDNAME"] else { return nil }
            return Entry(identity: String(identity), name: String(values["DEVNAME"] ?? "."))
        }
    }

    /// The entry for a device with these names, or with this WWID as udev writes it: `3` and the NAA identifier, which LVM
    /// has as `naa.` with it.
    public func entry(of names: [String], wwid: String?) -> Entry? {
        entries.first { entry in
            if names.contains(entry.name) || names.contains(entry.identity) { return true }
            guard let wwid else { return false }
            return entry.identity == "naa.\(wwid.dropFirst())" || entry.identity.hasSuffix("mpath-\(wwid)")
        }
    }
}
