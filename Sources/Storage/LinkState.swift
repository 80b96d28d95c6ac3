import HostModel

/// What stands under a volume's name in the link directory.
public enum LinkState: Sendable, Equatable {
    case absent
    /// A link: the path that it holds, and where that leads.
    case link(target: String, leadsTo: LinkEnd)
    /// Something that xenlvs did not make, with its kind: `a directory`.
    case notALink(kind: String)
}

/// Where a link leads in the end.
public enum LinkEnd: Sendable, Equatable {
    /// A block device, by its node with all links followed (`/dev/dm-3`) and its number.
    case device(node: String, BlockDeviceNumber)
    /// Nothing is there.
    case dangling
    /// Something there that no guest can have as its disk: `a regular file`.
    case notABlockDevice(kind: String)
}

/// How a link stands to the path that it should hold.
public enum LinkComparison: Sendable, Equatable {
    /// It holds that path, and the path leads to a block device.
    case same
    /// It holds another path that leads to the same device.
    case sameDevice(target: String)
    /// It holds that path, which leads nowhere now.
    case dangling
    case absent
    /// It holds another path, or is no link: it was changed by hand or by a run that is not recorded.
    case differs(LinkState)
}

/// What was done about one link to bring it back.
public enum LinkRepair: Sendable, Equatable {
    /// There was none; it was made.
    case made
    case wasRight
    /// It held this path; it was replaced.
    case replaced(former: String)
    /// The recorded path leads to no block device (yet); the link was left as it is.
    case deviceMissing
    /// It stands otherwise, and was left alone: changed by hand, or not a link at all.
    case refused(LinkState)
    case failed(Failure)
}
