import HostModel

/// What is asked of one portal, before the kernel may log in there. It holds no secret, only the name of the file.
public struct ProbeRequest: Sendable, Equatable, Codable {
    public var target: ISCSIName
    public var portal: Portal
    /// As whom to log in.
    public var initiator: ISCSIName
    public var interface: InterfaceName?
    public var chapFile: String?
    /// For all of it.
    public var seconds: Int

    public init(
        target: ISCSIName, portal: Portal, initiator: ISCSIName, interface: InterfaceName? = nil,
        chapFile: String? = nil, seconds: Int = 10
    ) {
        self.target = target
        self.portal = portal
        self.initiator = initiator
        self.interface = interface
        self.chapFile = chapFile
        self.seconds = seconds
    }
}

/// What came of it, as the process that has spoken with the target hands it on. Nothing in it has been judged yet.
public struct ProbeAnswer: Sendable, Equatable, Codable {
    /// What the portal offers to this initiator; nil where it did not say.
    public var offers: [ProbedOffer]?
    /// The disks of the target; nil where it could not be logged in there.
    public var units: [ProbedUnit]?
    public var trouble: ProbeTrouble?

    public init(offers: [ProbedOffer]? = nil, units: [ProbedUnit]? = nil, trouble: ProbeTrouble? = nil) {
        self.offers = offers
        self.units = units
        self.trouble = trouble
    }

    /// How many of each list are taken.
    public static let limit = 256
}

/// One portal of a target that discovery has shown: `10.0.0.1:3260,1`.
public struct ProbedOffer: Sendable, Equatable, Codable {
    public var target: String
    public var portal: String

    public init(target: String, portal: String) {
        self.target = target
        self.portal = portal
    }

    /// The portal and its group's tag; nil for what is neither.
    var place: (portal: Portal, tag: Int)? {
        let parts = portal.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == 2, let portal = try? Portal(String(parts[0])), let tag = UInt16(parts[1]) else {
            return nil
        }
        return (portal, Int(tag))
    }
}

/// A disk's own words: bytes of VPD pages 0x83 and 0x80, and of READ CAPACITY (16).
public struct ProbedUnit: Sendable, Equatable, Codable {
    public var lun: Int
    public var identification: [UInt8]
    public var serial: [UInt8]
    public var capacity: [UInt8]

    public init(lun: Int, identification: [UInt8], serial: [UInt8], capacity: [UInt8]) {
        self.lun = lun
        self.identification = identification
        self.serial = serial
        self.capacity = capacity
    }
}

/// Why a probe came to nothing.
public enum ProbeTrouble: Sendable, Equatable, Codable {
    /// No connection, for the reason given by the kernel.
    case unreachable(String)
    /// It answers, but not to the end in the time there was.
    case silent(String)
    /// RFC 7143, 11.13.5: the status of the login, class and detail.
    case refused(status: Int)
    /// Something else; the library's words.
    case failed(String)
}

/// A disk as one portal shows it, checked.
public struct ProbedDisk: Sendable, Equatable {
    public var portal: Portal
    /// The portal group's tag, by which open-iscsi keeps the record; 1 where discovery does not say.
    public var groupTag: Int
    public var lun: Int
    public var identity: DiskIdentity

    public init(portal: Portal, groupTag: Int, lun: Int, identity: DiskIdentity) {
        self.portal = portal
        self.groupTag = groupTag
        self.lun = lun
        self.identity = identity
    }
}

extension ProbeAnswer {
    /// The one disk that is meant.
    ///
    /// - Parameter lun: which, where the target has several.
    /// - Throws: `.unreachable`, `.notFound`, `.refused`, `.inconsistent` with what to do about each.
    public func disk(_ request: ProbeRequest, lun: Int?) throws(Failure) -> ProbedDisk {
        let what = "cannot use the target \(request.target) at \(request.portal)"
        if let trouble { throw self.failure(trouble, request, what) }
        let units = (units ?? []).filter { lun == nil || $0.lun == lun }
        guard let unit = units.first else {
            throw Failure(
                .notFound, what,
                why: lun.map { "it has no disk with LUN \($0) for this host" }
                    ?? "it has no disk for this host",
                remedy: "see on the target's host that the initiator \(request.initiator) may use it")
        }
        guard units.count == 1 else {
            let numbers = units.prefix(20).map { "\($0.lun)" }.joined(separator: ", ")
            throw Failure(
                .refused, what, why: "it has \(units.count) disks, with the LUNs \(numbers)",
                remedy: "say which with --lun")
        }
        do throws(Failure) {
            return ProbedDisk(
                portal: request.portal, groupTag: groupTag(request), lun: unit.lun, identity: try DiskIdentity(unit))
        } catch {
            throw Failure(error.code, what, why: error.why ?? error.what, remedy: error.remedy, causes: [error])
        }
    }

    private func groupTag(_ request: ProbeRequest) -> Int {
        (offers ?? []).lazy.filter { $0.target == request.target.text }.compactMap(\.place)
            .first { $0.portal == request.portal }?.tag ?? 1
    }

    private func failure(_ trouble: ProbeTrouble, _ request: ProbeRequest, _ what: String) -> Failure {
        switch trouble {
        case .unreachable(let why):
            return Failure(
                .unreachable, what, why: "\(request.portal) cannot be reached: \(Self.plain(why))",
                remedy: "see that the address is right, the network is up and the target's service runs")
        case .silent(let why):
            return Failure(
                .unreachable, what, why: "it gave no answer within \(request.seconds) s (\(Self.plain(why)))",
                remedy: "see the target's host, and its log")
        case .refused(let status): return refusal(status, request, what)
        case .failed(let why):
            return Failure(.failed, what, why: Self.plain(why), remedy: "see the target's log")
        }
    }

    /// By the statuses of RFC 7143, 11.13.5.
    private func refusal(_ status: Int, _ request: ProbeRequest, _ what: String) -> Failure {
        switch status {
        case 0x0201:
            return Failure(
                .refused, what, why: "it does not accept who this host says it is (CHAP)",
                remedy: request.chapFile.map { "see that \($0) has the user and the secret of the target's" }
                    ?? "the target may want CHAP: give its user and secret with --chap-file")
        case 0x0202:
            return Failure(
                .refused, what, why: "the initiator \(request.initiator) may not use it",
                remedy:
                    "allow it on the target's host, as with 'xenlvs export iscsi … --initiator \(request.initiator)'"
            )
        // LIO says that the service is not available where it has no such target.
        case 0x0203,
            0x0301 where offers?.contains { $0.target == request.target.text } == false:
            let names = Set((offers ?? []).map(\.target)).filter { ISCSIName.objection(to: $0) == nil }.sorted()
            return Failure(
                .notFound, what, why: "there is no such target at this portal",
                remedy: names.isEmpty
                    ? "it offers this host none: see on the target's host what is exported, and to whom"
                    : "it offers \(names.prefix(10).joined(separator: ", "))")
        default:
            return Failure(
                .refused, what, why: "it refuses the login with status 0x0\(String(status, radix: 16))",
                remedy: "see RFC 7143, 11.13.5, and the target's log")
        }
    }

    /// Text of the network, as far as it may be shown.
    public static func plain(_ text: String) -> String {
        String(
            decoding: text.utf8.prefix(300).map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}
