import CISCSI
import FoundationEssentials
import Glibc
import HostModel
import ISCSI
import ISCSIHost

/// Looks at a target in a process of its own: the work of the hidden `iscsi-probe` command.
///
/// What a target sends is read by a C library. So the process that does it has no rights, and is given up when its time
/// is over; what it tells is judged by its parent.
public enum ProbeWorker {
    /// The whole life of the process: a `ProbeRequest` as JSON. Prints a `ProbeAnswer` and returns the exit code.
    public static func run(arguments: [String]) -> Int32 {
        do {
            guard arguments.count == 1 else { throw Failure(.usage, "one request is expected") }
            let request = try JSONDecoder().decode(ProbeRequest.self, from: Data(arguments[0].utf8))
            return try run(request)
        } catch {
            let failure = Failure(error, doing: "cannot look at the target")
            write(Array("\(failure)\n".utf8), to: STDERR_FILENO)
            return failure.code.exitStatus.rawValue
        }
    }

    private static func run(_ request: ProbeRequest) throws -> Int32 {
        let credentials = try request.chapFile.map { try CHAPFile.read($0) }
        let library = try ISCSILibrary()
        try giveUpRights()
        limitTime(request.seconds)
        var answer = ProbeAnswer()
        do throws(ProbeEnd) {
            try reach(request)
            answer.offers = discover(library, request)
            do throws(ProbeEnd) { answer.units = try units(library, request, credentials) } catch {
                guard let credentials, credentials.target != nil, error.isUnreadableReply else { throw error }
                answer.units = try units(library, request, credentials.oneWay)
            }
        } catch { answer.trouble = error.trouble }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        write(Array(try encoder.encode(answer)) + [UInt8(ascii: "\n")], to: STDOUT_FILENO)
        return 0
    }

    private static func units(
        _ library: ISCSILibrary, _ request: ProbeRequest, _ credentials: CHAPCredentials?
    ) throws(ProbeEnd) -> [ProbedUnit] {
        let session = try ProbeSession(library, request)
        try session.login(to: request.target, at: request.portal, as: credentials)
        let units = try session.units()
        session.logout()
        return units
    }

    /// Whether a portal tells what it offers is its own affair: it may ask for other secrets there, or for none.
    private static func discover(_ library: ISCSILibrary, _ request: ProbeRequest) -> [ProbedOffer]? {
        guard let session = try? ProbeSession(library, request) else { return nil }
        do throws(ProbeEnd) { try session.login(to: nil, at: request.portal, as: nil) } catch { return nil }
        let offers = session.offers()
        session.logout()
        return offers
    }

    /// A child of root becomes nobody, once it has read what only root may read.
    private static func giveUpRights() throws(Failure) {
        guard geteuid() == 0 else { return }
        let nobody: uid_t = 65534
        // For root these set the saved ones, too.
        guard setgroups(0, nil) == 0, setgid(nobody) == 0, setuid(nobody) == 0 else {
            throw Failure.system("cannot give up root's rights")
        }
    }

    private static func limitTime(_ seconds: Int) {
        signal(SIGALRM) { _ in
            _ = Glibc.write(STDOUT_FILENO, overtime.utf8Start, overtime.utf8CodeUnitCount)
            _exit(EXIT_SUCCESS)
        }
        // Whoever has started this process may have done so from a thread that holds signals back.
        var alarms = sigset_t()
        sigemptyset(&alarms)
        sigaddset(&alarms, SIGALRM)
        sigprocmask(SIG_UNBLOCK, &alarms, nil)
        alarm(UInt32(clamping: max(1, seconds)))
    }

    private static func write(_ bytes: [UInt8], to file: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

/// What is told when the time is over; made before, because a signal's handler may not make anything.
private let overtime: StaticString =
    #"{"trouble":{"silent":{"_0":"it stopped in the middle of login or its answers"}}}"#
