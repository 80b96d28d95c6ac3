import AoE
import Glibc
import HostModel
import Hosts
import Operations
import Serving

/// The daemon's life: what is made in which order, the watchdog, and the end.
enum Daemon {
    static func run(threads: Int?) throws(Failure) {
        // Before any thread is there: all of them leave the signals to this one.
        let signals = EndSignals()
        Descriptors.raiseLimit()
        let paths = Paths.current
        let manager = ServiceManager(environment: ProcessEnvironment.variables)
        try PrivateDirectory.prepare(paths.run)
        let places = ServingPaths(paths)
        let lock = try lock(places)
        defer { withExtendedLifetime(lock) {} }
        // Before anything that can take long or fail: disks may wait for a path.
        let checker = PathChecker(paths: paths, say: Log.say)
        defer { if !checker.end(within: pathPatience) { Log.say("the last look at paths has not ended in time") } }

        let targets = try TargetThreads(count: threads)
        let volumes = VolumeScrutiny(paths)
        let supervisor = try ExportSupervisor(
            servers: targets.servers, paths: places,
            scrutiny: { record throws(Failure) in try volumes.check(record) }, report: Log.say)
        try targets.start()
        _ = supervisor.start()
        let control = try ControlServer(at: places.socket) { supervisor.answer($0) }
        try control.start()
        manager.tell("READY=1")
        let clock = SupervisorClock()
        try clock.start(supervisor)
        keep(targets, manager, until: signals)
        manager.tell("STOPPING=1")
        control.end()
        clock.end()
        try targets.end()
    }

    /// As long as a change of a map may be held up by requests, and as long again.
    private static let pathPatience = Duration.seconds(20)

    /// Tells systemd once a second that all is well, until the daemon is to end.
    private static func keep(_ targets: TargetThreads, _ manager: ServiceManager, until signals: EndSignals) {
        while !signals.hasCome(waitingMilliseconds: 1000), !targets.haveEnded {
            // Only where the threads that serve are alive is all well.
            if manager.watchdogMicroseconds != nil, targets.areAlive() { manager.tell("WATCHDOG=1") }
        }
    }

    private static func lock(_ places: ServingPaths) throws(Failure) -> FileLock {
        do { return try FileLock(path: places.lock, purpose: "xenlvsd") } catch {
            var failure = Failure(error, doing: "cannot start xenlvsd")
            if failure.code == .busy {
                failure = Failure(
                    .busy, "cannot start xenlvsd", why: "another xenlvsd runs", remedy: "see 'systemctl status xenlvsd'"
                )
            }
            throw failure
        }
    }
}

/// Messages go to standard error, which systemd brings to its journal.
enum Log {
    static let say: @Sendable (String) -> Void = { text in
        let line = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, line, line.count)
    }
}

/// SIGTERM and SIGINT, for the thread that asks.
struct EndSignals {
    private var set = sigset_t()

    init() {
        sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Whether one has come; waits for it for so long.
    func hasCome(waitingMilliseconds: Int) -> Bool {
        var limit = timespec(tv_sec: waitingMilliseconds / 1000, tv_nsec: waitingMilliseconds % 1000 * 1_000_000)
        var set = set
        let number = sigtimedwait(&set, nil, &limit)
        return number == SIGTERM || number == SIGINT
    }
}

/// Each export takes a descriptor, and one more for each of its interfaces.
enum Descriptors {
    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = min(limit.rlim_max, 65536)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
