import AoE
import HostModel
import Hosts
import Storage

/// What an operator wants to be attached.
public struct AttachRequest: Sendable {
    public var name: VolumeName
    public var address: AoEAddress
    /// None for every interface on which the target answers, guests' interfaces left out.
    public var interfaces: [InterfaceName]
    /// For all of it.
    public var limit: Duration
    /// The host that has asked for it, where it was another one.
    public var sharer: HostName?
    /// Its guests may flush.
    public var takesFlushes: Bool

    public init(
        name: VolumeName, address: AoEAddress, interfaces: [InterfaceName], limit: Duration, sharer: HostName? = nil,
        takesFlushes: Bool = false
    ) {
        self.name = name
        self.address = address
        self.interfaces = interfaces
        self.limit = limit
        self.sharer = sharer
        self.takesFlushes = takesFlushes
    }
}

/// An attachment that was made, and what is to be said of it.
public struct AttachedDevice: Sendable {
    public var attachment: Attachment
    public var node: String
    public var paths: [TargetPath]
    public var warnings: [String]
    /// It was attached like that before.
    public var wasThere = false
}

/// Targets of other hosts in use on this one: attached, looked after, given back.
public struct AttachmentManager: Sendable {
    let host: HostContext
    let initiator: AoEInitiator

    public init(host: HostContext) {
        self.host = host
        initiator = AoEInitiator(host: host)
    }

    /// Makes a target a device of this host, with a link and a record. What was done is taken back where a later part fails.
    ///
    /// One that is there already, by the same name, address and interfaces, is only brought back where something of it is
    /// missing.
    /// - Throws: `.refused` where the name or the address is taken, or the target cannot be used; `.notFound` for an
    ///   interface that is not there and where nobody answers; `.busy` where something uses the device already.
    public func attach(_ request: AttachRequest) async throws -> AttachedDevice {
        if let known = try host.aoeAttachments().first(where: { $0.name == request.name && $0.isWhatIsAsked(request) })
        {
            try await LinkKeeper(host: host).complete(request.name, within: request.limit)
            let targets = TargetPaths(known.address, among: try await initiator.ask(for: [known]))
            return AttachedDevice(
                attachment: known, node: known.linkPath(in: host.tree), paths: targets.paths,
                warnings: [], wasThere: true)
        }
        return try await attachNew(request)
    }

    private func attachNew(_ request: AttachRequest) async throws -> AttachedDevice {
        let deadline = ContinuousClock.now + request.limit
        return try await VolumeLock.holding(request.name, of: host) {
            try host.checkIsFree(request.name, request.address.description)
            return try await AoEInitiator.holding(host) {
                let known = try host.aoeAttachments()
                let others = try await initiator.interfacesInUseByOthers(than: known)
                let (attachment, targets) = try await examine(
                    request, others.joined() + known.flatMap(\.interfaces), deadline)
                // A device that the kernel has found by itself may be in use without xenlvs.
                try await checkIsUnused(request.address, doing: "cannot attach \(request.address)")
                let wasThere = initiator.device(request.address) != nil
                let former = try await initiator.use(
                    .needed(by: (known + [attachment]).map(\.interfaces), others: others))
                do {
                    let device = try await initiator.waitUntilUp(
                        attachment.address, size: attachment.identity.size, deadline: deadline)
                    try await takeIn(attachment, device)
                    return AttachedDevice(
                        attachment: attachment, node: attachment.linkPath(in: host.tree), paths: targets.paths,
                        warnings: warnings(request, targets))
                } catch {
                    throw await takenBack(
                        attachment, former, wasThere,
                        because: Failure(error, doing: "cannot attach \(request.address)"))
                }
            }
        }
    }

    /// Asks on the wire until all that have answered have said what they are.
    /// - Parameter used: the interfaces that the kernel needs for other devices.
    private func examine(
        _ request: AttachRequest, _ used: [InterfaceName], _ deadline: ContinuousClock.Instant
    ) async throws -> (Attachment, TargetPaths) {
        let asked = try await interfacesToAsk(request, used)
        let targets = try await answers(for: request.address, until: deadline) {
            try await host.initiator.ask(asked, request.address)
        }
        let identity = try targets.identity(doing: "cannot attach \(request.address)")
        if request.takesFlushes { try targets.requireNoCache(doing: "cannot attach \(request.address)") }
        let heard = try targets.answers.map { try InterfaceName($0.interface) }
        let found = request.interfaces.isEmpty ? heard : []
        var attachment = Attachment(
            name: request.name, address: request.address, interfaces: Set(request.interfaces + found).sorted(),
            identity: identity)
        attachment.sharer = request.sharer
        if request.takesFlushes { attachment.takesFlushes = true }
        guard attachment.interfaces.contains(where: { name in targets.answers.contains { $0.interface == name.text } })
        else {
            throw Failure(
                .notFound, "cannot attach \(request.address)",
                why: "nobody answers for it on \(InitiatorCommands.text(request.interfaces))",
                remedy: "it answers on \(targets.answers.map(\.interface).joined(separator: ", "))")
        }
        return (attachment, targets)
    }

    /// Asks again until all that have answered have said what they are, or the time is over.
    func answers(
        for address: AoEAddress, until deadline: ContinuousClock.Instant, _ ask: () async throws -> [DiscoveredTarget]
    ) async throws -> TargetPaths {
        while true {
            let targets = TargetPaths(address, among: try await ask())
            if targets.isComplete || ContinuousClock.now >= deadline { return targets }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Every interface on which the kernel will take an answer for the target's, not only those that are asked for.
    private func interfacesToAsk(_ request: AttachRequest, _ used: [InterfaceName]) async throws -> [String] {
        let present = try await host.initiator.interfaces()
        let wanted =
            request.interfaces.isEmpty
            ? present.filter { !InterfaceList.leadsToGuest($0) } : request.interfaces.map(\.text)
        return Set(wanted + used.map(\.text).filter(present.contains)).sorted()
    }

    /// Throws `.busy` with everybody who has the kernel's device of `address`, where there is one.
    func checkIsUnused(_ address: AoEAddress, doing what: String) async throws {
        guard let device = initiator.device(address) else { return }
        let uses = try await DeviceUse.lastingUses(of: device, on: host)
        guard let first = uses.first else { return }
        throw Failure(.busy, what, why: uses.map(\.sentence).joined(separator: "; "), remedy: first.remedy)
    }

    private func takeIn(_ attachment: Attachment, _ device: BlockDevice) async throws {
        try host.database.insert(try attachment.record())
        do { try host.links.set(attachment.name, to: try await host.linkTarget(attachment, device)) } catch {
            if let cover = attachment.cover { try? await FlushCover(host: host).remove(cover) }
            try host.database.removeAttachment(attachment.name)
            throw error
        }
    }

    private func warnings(_ request: AttachRequest, _ targets: TargetPaths) -> [String] {
        request.interfaces.filter { name in !targets.answers.contains { $0.interface == name.text } }.map {
            "nobody answers for \(request.address) on \($0); the kernel uses that path once somebody does"
        }
    }

    /// Undoes an attach. Returns the failure that led here, or what is left for the operator where the undo fails too.
    private func takenBack(
        _ attachment: Attachment, _ former: AoEInitiator.Former?, _ wasThere: Bool, because cause: Failure
    ) async -> Failure {
        do {
            if !wasThere, let device = initiator.device(attachment.address),
                try await DeviceUse.lastingUses(of: device, on: host).isEmpty
            {
                try await initiator.forget(attachment.address)
            }
            if let former { try await initiator.putBack(former) }
            return cause
        } catch {
            return Failure(
                .needsRecovery, "\(attachment.address) was attached in part, and that cannot be taken back",
                why: Failure(error, doing: "cannot take it back").description,
                remedy: "there is neither a link nor a record of it; see 'dmesg' for the module aoe",
                causes: [cause])
        }
    }
}

extension Attachment {
    /// Whether it is what a request would make.
    func isWhatIsAsked(_ request: AttachRequest) -> Bool {
        address == request.address && (takesFlushes == true || !request.takesFlushes)
            && (request.interfaces.isEmpty || Set(request.interfaces) == Set(interfaces))
    }
}
