import HostModel

/// An export with everything that the host had to say about it: what a backend is asked to bring about.
public struct ResolvedExport: Sendable, Equatable {
    public var export: ISCSIExport
    public var lun: Int
    public var identity: DeviceIdentity
    /// The block device, absolute.
    public var devicePath: String
    /// Its numbers, `253:3`, by which another device under the same path is told.
    public var deviceNumber: String
    /// By the initiators' names; empty where none is asked to prove anything.
    public var credentials: [ISCSIName: CHAPCredentials]

    public init(
        _ export: ISCSIExport, lun: Int, identity: DeviceIdentity, devicePath: String, deviceNumber: String,
        credentials: [ISCSIName: CHAPCredentials] = [:]
    ) {
        self.export = export
        self.lun = lun
        self.identity = identity
        self.devicePath = devicePath
        self.deviceNumber = deviceNumber
        self.credentials = credentials
    }
}

/// The desired state, resolved.
public struct ResolvedState: Sendable, Equatable {
    public var exports: [ResolvedExport]
    public var discovery: CHAPCredentials?

    public init(exports: [ResolvedExport], discovery: CHAPCredentials? = nil) {
        self.exports = exports
        self.discovery = discovery
    }

    /// Throws `.refused` where two exports would be one disk to initiators.
    public func checkIdentities() throws(Failure) {
        var seen: [String: VolumeName] = [:]
        for export in exports {
            if let other = seen.updateValue(export.export.volume, forKey: export.identity.wwid) {
                throw Failure(
                    .refused, "'\(other)' and '\(export.export.volume)' cannot both be exported",
                    why: "both have the WWID \(export.identity.wwid)",
                    remedy: "if one volume group is a copy of the other, give it a new UUID: see vgimportclone(8)")
            }
        }
    }
}
