import Glibc
import HostModel
import ISCSI

/// tgt's daemon, spoken to on its local socket. This is the only place that does.
public struct TGTDaemon: Sendable {
    let socketPath: String

    /// - Parameter socketPath: for tests.
    public init(socketPath: String = "/var/run/tgtd/socket.0") { self.socketPath = socketPath }

    var isPresent: Bool { access(socketPath, F_OK) == 0 }

    /// The daemon answers in one piece, which it makes in memory: a thousand targets have a megabyte.
    private static let longestAnswer = 64 << 20

    public func snapshot(limit: Duration) throws(Failure) -> TGTSnapshot {
        let (targets, accounts, portals) = (
            try ask(TGTSnapshot.questions.targets, limit), try ask(TGTSnapshot.questions.accounts, limit),
            try ask(TGTSnapshot.questions.portals, limit)
        )
        return try TGTSnapshot(targets: targets, accounts: accounts, portals: portals)
    }

    /// - Throws: what the daemon says; `.outcomeUnknown` where it takes too long.
    public func perform(_ order: TGTOrder, limit: Duration) throws(Failure) {
        // A session that is ended lets go of its target and disk a moment later.
        let patience = ContinuousClock.now + min(limit, .seconds(10))
        while true {
            do throws(Failure) {
                _ = try ask(order, limit)
                return
            } catch {
                guard error.code == .busy, ContinuousClock.now < patience else { throw error }
            }
            usleep(100_000)
        }
    }

    private func ask(_ order: TGTOrder, _ limit: Duration) throws(Failure) -> String {
        let what = "tgtd refuses '\(order)'"
        let descriptor = try connect(limit)
        defer { close(descriptor) }
        var rest = order.request[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw unanswered(order, limit) }
            rest = rest.dropFirst(count)
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0, answer.count + count <= Self.longestAnswer else { throw unanswered(order, limit) }
            if count == 0 { break }
            answer += buffer[..<count]
        }
        guard answer.count >= 8 else { throw unanswered(order, limit) }
        let error = answer[..<4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        if let reason = TGTReason(rawValue: error) { throw Failure(reason.code, what, why: reason.words) }
        guard error == 0 else { throw Failure(.failed, what, why: "it answers with its number \(error)") }
        return String(decoding: answer[8...].prefix { $0 != 0 }, as: UTF8.self)
    }

    private func connect(_ limit: Duration) throws(Failure) -> Int32 {
        let what = "cannot reach tgtd at \(socketPath)"
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure.system(what) }
        var time = timeval(tv_sec: max(1, Int(limit.components.seconds)), tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(socketPath.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes.prefix($0.count - 1)) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            defer { close(descriptor) }
            throw Failure.system(what)
        }
        return descriptor
    }

    private func unanswered(_ order: TGTOrder, _ limit: Duration) -> Failure {
        Failure(
            .outcomeUnknown, "tgtd has not answered '\(order)'",
            why: "it has not done so within \(limit.components.seconds) s, or has ended",
            remedy: "see 'systemctl status tgt' and which device does not answer; then 'xenlvs apply --recorded'")
    }
}

/// Why the daemon refuses an order: the numbers that it answers with, and the words that tgtadm 1.0.85 has for them.
private enum TGTReason: UInt32 {
    case unknown = 1
    case outOfMemory, noDriver, noTarget, noUnit, noSession, noConnection, noBinding, targetExists
    case bindingExists, unitExists, ruleExists, noRule, accountExists, noAccount, tooManyAccounts, invalid,
        outgoingExists
    case targetActive, unitActive, driverBusy, unsupported, unknownParameter, removalPrevented

    var code: Failure.Code {
        switch self {
        case .targetActive, .unitActive, .driverBusy, .removalPrevented: .busy
        case .noTarget, .noUnit, .noSession, .noConnection, .noBinding, .noRule, .noAccount: .notFound
        default: .failed
        }
    }

    var words: String {
        switch self {
        case .unknown: "it does not say why"
        case .outOfMemory: "it is out of memory"
        case .noDriver: "it has no iSCSI"
        case .noTarget: "there is no such target"
        case .noUnit: "there is no such logical unit"
        case .noSession: "there is no such session"
        case .noConnection: "there is no such connection"
        case .noBinding: "there is no such binding"
        case .targetExists: "the target exists already"
        case .bindingExists: "the binding exists already"
        case .unitExists: "the logical unit exists already"
        case .ruleExists: "the access rule exists already"
        case .noRule: "there is no such access rule"
        case .accountExists: "the account exists already"
        case .noAccount: "there is no such account"
        case .tooManyAccounts: "it has too many accounts"
        case .invalid: "the request is invalid; its log says more"
        case .outgoingExists: "the target has an outgoing account already"
        case .targetActive: "the target is still in use"
        case .unitActive: "the logical unit is still in use"
        case .driverBusy: "the driver is in use"
        case .unsupported: "it cannot do that"
        case .unknownParameter: "it does not know the parameter"
        case .removalPrevented: "an initiator prevents the removal"
        }
    }
}
