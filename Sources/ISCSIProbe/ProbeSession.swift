import CISCSI
import Glibc
import HostModel
import ISCSI

/// One session of libiscsi with a portal.
struct ProbeSession: ~Copyable {
    private let library: ISCSILibrary
    private let context: ISCSILibrary.Context

    /// How long one request may take. The whole process has a limit of its own.
    private static let requestSeconds: CInt = 5

    init(_ library: ISCSILibrary, _ request: ProbeRequest) throws(ProbeEnd) {
        guard let context = library.createContext(request.initiator.text) else {
            throw ProbeEnd(.failed("libiscsi makes no context"))
        }
        self.library = library
        self.context = context
        library.setNoReconnect(context, 1)
        _ = library.setTimeout(context, Self.requestSeconds)
        _ = library.setHeaderDigest(context, ISCSI_HEADER_DIGEST_NONE_CRC32C)
        if let interface = request.interface {
            var name = Array(interface.text.utf8CString)
            library.bindInterfaces(context, &name)
        }
    }

    deinit { _ = library.destroyContext(context) }

    /// Logs in: to the target, or without one to ask for targets.
    func login(to target: ISCSIName?, at portal: Portal, as credentials: CHAPCredentials?) throws(ProbeEnd) {
        var isAccepted = true
        if let target {
            isAccepted = library.setTargetName(context, target.text) == 0
            isAccepted = isAccepted && library.setSessionType(context, ISCSI_SESSION_NORMAL) == 0
        } else {
            isAccepted = library.setSessionType(context, ISCSI_SESSION_DISCOVERY) == 0
        }
        if let account = credentials?.initiator {
            isAccepted =
                isAccepted && library.setInitiatorAccount(context, account.user, account.secret.text) == 0
        }
        if let account = credentials?.target {
            isAccepted = isAccepted && library.setTargetAccount(context, account.user, account.secret.text) == 0
        }
        guard isAccepted, library.connect(context, portal.description) == 0, library.login(context) == 0 else {
            throw ProbeEnd(trouble)
        }
    }

    func logout() { _ = library.logout(context) }

    /// What the portal offers, as far as it is taken.
    func offers() -> [ProbedOffer]? {
        guard let first = library.discover(context) else { return nil }
        defer { library.freeDiscovery(context, first) }
        var offers: [ProbedOffer] = []
        for target in sequence(first: first, next: { $0.pointee.next }) {
            guard let name = target.pointee.target_name, let portals = target.pointee.portals else { continue }
            for portal in sequence(first: portals, next: { $0.pointee.next }) {
                guard offers.count < ProbeAnswer.limit, let text = portal.pointee.portal else { continue }
                offers.append(ProbedOffer(target: Self.text(name), portal: Self.text(text)))
            }
        }
        return offers
    }

    /// The disks that the target has.
    func units() throws(ProbeEnd) -> [ProbedUnit] {
        let reported = try answer(limit: 8 + 256 * 8) { library.reportUnits(context, 0, 8 + 256 * 8) }
        let numbers: [Int]
        do throws(Failure) { numbers = try SCSIPage.units(reported: reported) } catch {
            throw ProbeEnd(.failed(error.description))
        }
        var units: [ProbedUnit] = []
        for lun in numbers {
            let number = CInt(lun)
            let inquiry = try answer(limit: 255) { library.inquiry(context, number, 0, 0, 255) }
            guard SCSIPage.isDisk(inquiry: inquiry) else { continue }
            units.append(
                ProbedUnit(
                    lun: lun,
                    identification: try answer(limit: SCSIPage.identificationLength) {
                        library.inquiry(context, number, 1, 0x83, Int32(SCSIPage.identificationLength))
                    },
                    serial: (try? answer(limit: 255) { library.inquiry(context, number, 1, 0x80, 255) }) ?? [],
                    capacity: try answer(limit: 32) { library.readCapacity(context, number) }))
        }
        return units
    }

    /// The bytes that a command brought. A unit attention tells of what happened before, and is told once each.
    private func answer(limit: Int, _ send: () -> ISCSILibrary.Task?) throws(ProbeEnd) -> [UInt8] {
        for _ in 0..<4 {
            guard let task = send() else { throw ProbeEnd(trouble) }
            defer { library.freeTask(task) }
            let status = task.pointee.status
            if status == CInt(SCSI_STATUS_GOOD.rawValue) {
                let data = task.pointee.datain
                guard let bytes = data.data, data.size > 0 else { return [] }
                return Array(UnsafeBufferPointer(start: bytes, count: min(limit, Int(data.size))))
            }
            guard status == CInt(SCSI_STATUS_CHECK_CONDITION.rawValue),
                task.pointee.sense.key == SCSI_SENSE_UNIT_ATTENTION
            else {
                throw ProbeEnd(
                    .failed(
                        "a SCSI command ended with status \(status), sense key \(task.pointee.sense.key.rawValue), "
                            + "code \(task.pointee.sense.ascq)"))
            }
        }
        throw ProbeEnd(.failed("the disk reports one unit attention after the other"))
    }

    /// What the library says of the last thing that failed.
    ///
    /// It tells a login's status in words alone: `Failed to log in to target. Status: Authorization failure(514)`.
    private var trouble: ProbeTrouble {
        let words = library.error(context).map { Self.text($0) } ?? "libiscsi gives no reason"
        if let start = words.range(of: "Status: ", from: "Failed to log in to target."), words.hasSuffix(")"),
            let open = words[start...].lastIndex(of: "("),
            let status = Int(words[words.index(after: open)...].dropLast())
        {
            return .refused(status: status)
        }
        return .failed(words)
    }

    /// At most a screenful of what may be a target's text.
    private static func text(_ pointer: ISCSILibrary.Text) -> String {
        let length = strnlen(pointer, 512)
        return String(decoding: UnsafeRawBufferPointer(start: pointer, count: length), as: UTF8.self)
    }
}

/// A probe that has come to its end before it was through.
struct ProbeEnd: Error {
    var trouble: ProbeTrouble
    init(_ trouble: ProbeTrouble) { self.trouble = trouble }

    /// Whether libiscsi has given up a reply to a login because of its form, which it tells in these words.
    ///
    /// LIO does not clear the padding behind its proof in mutual CHAP, and libiscsi 1.19 takes it for one more text: whether a
    /// login works depends on the length of the user's name. The disk is looked at without that proof then. The kernel's
    /// login asks for it all the same, and libiscsi tells a wrong proof in other words.
    var isUnreadableReply: Bool {
        if case .failed(let words) = trouble { words.contains("iscsi_service_reconnect_if_loggedin") } else { false }
    }
}

extension String {
    /// Where what follows `word` begins; nil where the text does not begin with `start`, or `word` is not in it.
    fileprivate func range(of word: String, from start: String) -> String.Index? {
        guard hasPrefix(start) else { return nil }
        return ranges(of: word).first?.upperBound
    }
}
