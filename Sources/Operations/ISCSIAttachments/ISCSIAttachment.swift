import HostModel
import Hosts
import ISCSI

/// An iSCSI disk of another host that is in use on this one, as the journal has it. It holds no secret.
public struct ISCSIAttachment: Sendable, Equatable, Codable {
    /// Its link below `/dev/xenlvs`.
    public var name: VolumeName
    public var target: ISCSIName
    public var lun: Int
    /// At least one; with several, one device is made of them.
    public var paths: [ISCSIPath]
    /// By whom; nil for multipathd, and for one path alone.
    public var mapOwner: MapOwner?
    /// Where user and secret are read from, also at boot.
    public var chapFile: String?
    /// What it was when it was attached, or last revalidated: another disk, or a smaller one, never gets the link.
    public var identity: DiskIdentity
    /// The host that has had it attached here by 'xenlvs share'; nil where an operator of this one has.
    public var sharer: HostName?

    public init(
        name: VolumeName, target: ISCSIName, lun: Int, paths: [ISCSIPath], mapOwner: MapOwner? = nil, chapFile: String?,
        identity: DiskIdentity
    ) {
        self.name = name
        self.target = target
        self.lun = lun
        self.paths = paths
        self.mapOwner = mapOwner
        self.chapFile = chapFile
        self.identity = identity
    }

    var isMultipath: Bool { paths.count > 1 }

    /// The map that xenlvs keeps itself; nil where multipathd does, and for one path alone.
    var ownMap: MapRecord? {
        guard isMultipath, mapOwner == .xenlvs else { return nil }
        return MapRecord(name: name, wwid: identity.wwid, policy: MapPolicy(), isOfAttachment: true)
    }

    func record() throws -> AttachmentRecord {
        AttachmentRecord(name: name, address: target.text, body: try JSONText.encode(self))
    }

    /// Below multipathd a path is given up soon; one that is alone waits for its target to come back.
    func nodeRecord(_ path: ISCSIPath, _ credentials: CHAPCredentials?) -> NodeRecord {
        NodeRecord(
            target: target, portal: path.portal, groupTag: path.groupTag, interface: path.interface?.text,
            credentials: credentials, profile: isMultipath ? .multipath : .singlePath)
    }
}

/// Who makes one device of several paths, and keeps it.
public enum MapOwner: String, Sendable, Codable { case multipathd, xenlvs }

/// One way to a target.
public struct ISCSIPath: Sendable, Hashable, Codable {
    public var portal: Portal
    /// The portal group's tag, as discovery told it.
    public var groupTag: Int
    /// The interface that the session is bound to; nil for the one that the route takes.
    public var interface: InterfaceName?

    public init(portal: Portal, groupTag: Int = 1, interface: InterfaceName? = nil) {
        self.portal = portal
        self.groupTag = groupTag
        self.interface = interface
    }

    /// `10.0.0.1:3260 by eth1`.
    public var words: String { portal.description + (interface.map { " by \($0)" } ?? "") }
}
