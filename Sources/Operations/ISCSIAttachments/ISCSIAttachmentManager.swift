import HostModel
import Hosts
import ISCSI
import ISCSIHost
import Storage

/// What an operator wants to be attached.
public struct ISCSIAttachRequest: Sendable {
    public var name: VolumeName
    public var target: ISCSIName
    /// At least one.
    public var paths: [ISCSIPath]
    /// Nil for the only one that the target has.
    public var lun: Int?
    public var chapFile: String?
    /// For the devices to appear.
    public var limit: Duration
    /// The host that has asked for it, where it was another one.
    public var sharer: HostName?

    public init(
        name: VolumeName, target: ISCSIName, paths: [ISCSIPath], lun: Int? = nil, chapFile: String? = nil,
        limit: Duration = .seconds(30), sharer: HostName? = nil
    ) {
        self.name = name
        self.target = target
        self.paths = paths
        self.lun = lun
        self.chapFile = chapFile
        self.limit = limit
        self.sharer = sharer
    }
}

/// An iSCSI disk that was attached.
public struct AttachedISCSIDisk: Sendable {
    public var attachment: ISCSIAttachment
    /// What its link leads to.
    public var node: String
    /// It was attached like that before.
    public var wasThere = false
}

/// iSCSI disks of other hosts in use on this one: attached, looked after, given back.
///
/// The record is written before the kernel hears of the target: what a run has left that was killed is listed by
/// `attachments`, completed by `link repair` and taken away by `detach`.
public struct ISCSIAttachmentManager: Sendable {
    let host: HostContext
    let initiator: OpenISCSI
    let probing: ISCSIProbing
    let maps: MultipathMaps

    public init(host: HostContext) {
        self.host = host
        initiator = OpenISCSI(host: host)
        probing = ISCSIProbing(host: host)
        maps = MultipathMaps(host: host)
    }

    /// Makes a target's disk a device of this host, with a link and a record. What was done is taken back where a later
    /// part fails.
    ///
    /// One that is there already, by the same name, target and portals, is only brought back where something of it is
    /// missing.
    /// - Throws: `.refused` where name, target or disk are taken, or the target cannot be used; `.notFound` and
    ///   `.unreachable` where it is not there.
    public func attach(_ request: ISCSIAttachRequest) async throws -> AttachedISCSIDisk {
        if let known = try host.iscsiAttachments().first(where: { $0.name == request.name && $0.isWhatIsAsked(request) }
        ) {
            try await LinkKeeper(host: host).complete(request.name, within: request.limit)
            return AttachedISCSIDisk(
                attachment: known, node: ISCSIDevice.path(known, in: host.tree), wasThere: true)
        }
        return try await attachNew(request)
    }

    private func attachNew(_ request: ISCSIAttachRequest) async throws -> AttachedISCSIDisk {
        let what = "cannot attach \(request.target)"
        let credentials = try request.chapFile.map { try CHAPFile.read($0) }
        return try await VolumeLock.holding(request.name, of: host) {
            try host.checkIsFree(request.name, request.target.text)
            let owner = request.paths.count > 1 ? try await maps.owner(doing: what) : nil
            return try await OpenISCSI.holding(host) {
                try checkHasNoSession(request.target, doing: what)
                var attachment = try await examine(request)
                (attachment.mapOwner, attachment.sharer) = (owner, request.sharer)
                try checkDiskIsNotHere(attachment, doing: what)
                try await checkIsOfAnotherHost(attachment, doing: what)
                try initiator.checkHasNoOther(attachment)
                try host.database.insert(try attachment.record())
                do {
                    let node = try await ISCSIBringUp(host: host).run(
                        attachment, by: attachment.paths, credentials, deadline: .now + request.limit)
                    try host.links.set(attachment.name, to: node)
                    return AttachedISCSIDisk(attachment: attachment, node: node)
                } catch {
                    let failure = Failure(error, doing: what)
                    // A login that is still under way can come to its end after everything was taken back.
                    guard failure.code != .outcomeUnknown else { throw leftOpen(attachment, because: failure) }
                    throw await takenBack(attachment, because: failure)
                }
            }
        }
    }

    private func checkHasNoSession(_ target: ISCSIName, doing what: String) throws {
        guard let session = initiator.sessions(to: target).first else { return }
        throw Failure(
            .refused, what,
            why: "this host has a session with it that xenlvs has not begun (session \(session.number))",
            remedy: "end it once nothing uses it: iscsiadm -m session -r \(session.number) -u")
    }

    /// Asks every portal, and takes the answers only where all are of one disk.
    private func examine(_ request: ISCSIAttachRequest) async throws -> ISCSIAttachment {
        let results = await probing.ask(
            request.paths, of: request.target, as: try initiator.initiatorName(), chapFile: request.chapFile,
            lun: request.lun)
        let disks = try results.map { try $0.get() }
        let first = disks[0]
        if let index = disks.firstIndex(where: { $0.identity != first.identity || $0.lun != first.lun }) {
            throw Failure(
                .refused, "cannot attach \(request.target)",
                why: "its portals lead to different disks: \(request.paths[0].words) has \(first.identity.words), "
                    + "\(request.paths[index].words) has \(disks[index].identity.words)",
                remedy: "see on both what is exported, and as which LUN")
        }
        var paths = request.paths
        for (index, disk) in disks.enumerated() { paths[index].groupTag = disk.groupTag }
        return ISCSIAttachment(
            name: request.name, target: request.target, lun: first.lun, paths: paths, chapFile: request.chapFile,
            identity: first.identity)
    }

    /// Throws `.refused` where the same disk is on this host already, whichever way it came.
    private func checkDiskIsNotHere(_ attachment: ISCSIAttachment, doing what: String) throws {
        let wwid = attachment.identity.wwid
        if let other = try host.iscsiAttachments().first(where: { $0.identity.wwid == wwid }) {
            throw Failure(
                .refused, what, why: "its disk has the WWID \(wwid), and so has the attachment '\(other.name)'",
                remedy: "two disks with one WWID are never used side by side: see what both targets export")
        }
        let disks = ISCSISession.all(in: host.tree).flatMap(\.disks)
        guard let disk = disks.first(where: { $0.wwid == wwid }) else { return }
        throw Failure(
            .refused, what, why: "\(disk.name), a disk of a session that xenlvs has not begun, has its WWID \(wwid)",
            remedy: "see 'iscsiadm -m session -P 3'")
    }

    /// Throws `.refused` where the target serves a logical volume of this very host: whoever writes to one of the two does not
    /// see the other, and what is to be written to the attached one may need memory that only that write would free.
    private func checkIsOfAnotherHost(_ attachment: ISCSIAttachment, doing what: String) async throws {
        guard let own = try await OwnDisks(host: host).disk(attachment.identity) else { return }
        throw Failure(
            .refused, what, why: "its disk, with the WWID \(attachment.identity.wwid), is \(own) of this host itself",
            remedy: "use that where it is, by its own link")
    }

    private func leftOpen(_ attachment: ISCSIAttachment, because cause: Failure) -> Failure {
        let name = attachment.name
        return Failure(
            .outcomeUnknown, "it is not known whether \(attachment.target) is attached", why: cause.description,
            remedy:
                "see 'xenlvs attachments'; then complete it with 'xenlvs link repair \(name)', or take it back with "
                + "'xenlvs detach \(name) --force'", causes: [cause])
    }

    /// Undoes an attach. Returns the failure that led here, or what is left for the operator where the undo fails too.
    private func takenBack(_ attachment: ISCSIAttachment, because cause: Failure) async -> Failure {
        do {
            try host.links.remove(attachment.name)
            try await letGo(attachment, force: true)
            try host.database.removeAttachment(attachment.name)
            try await maps.writeConfiguration()
            return cause
        } catch {
            return Failure(
                .needsRecovery, "\(attachment.target) was attached in part, and that cannot be taken back",
                why: Failure(error, doing: "cannot take it back").description,
                remedy: "run 'xenlvs detach \(attachment.name) --force'", causes: [cause])
        }
    }
}

extension ISCSIAttachment {
    /// Whether it is what a request would make.
    func isWhatIsAsked(_ request: ISCSIAttachRequest) -> Bool {
        func places(_ paths: [ISCSIPath]) -> Set<ISCSIPath> {
            Set(paths.map { ISCSIPath(portal: $0.portal, interface: $0.interface) })
        }
        return target == request.target && places(paths) == places(request.paths) && chapFile == request.chapFile
            && (request.lun == nil || request.lun == lun)
    }
}
