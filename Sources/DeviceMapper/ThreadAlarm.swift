import CDevMapper
import Glibc
import HostModel

/// Interrupts a system call of this thread that takes too long (timer_create(2), `SIGEV_THREAD_ID`).
///
/// The kernel's wait for requests under way is one that a signal ends (`TASK_INTERRUPTIBLE` in `dm_suspend`,
/// drivers/md/dm.c). The signal is repeated: the first could come just before the wait.
struct ThreadAlarm: ~Copyable {
    /// The kernel counts from 0, which looks like no pointer at all.
    private let timer: timer_t?
    /// What this thread held back before.
    private var mask = sigset_t()

    init(doing what: String) throws(Failure) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in }
        // Without SA_RESTART: the call has to end. Nothing else in xenlvs uses this signal.
        guard sigaction(SIGALRM, &action, nil) == 0 else { throw Failure.mapper(what, errno) }
        var event = sigevent()
        event.sigev_notify = Int32(SIGEV_THREAD_ID)
        event.sigev_signo = SIGALRM
        event._sigev_un._tid = xenlvs_thread_number()
        var timer: timer_t?
        guard timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 else { throw Failure.mapper(what, errno) }
        self.timer = timer
        // The threads of a dispatch queue hold back all signals (`_dispatch_sigmask` in libdispatch's queue.c).
        var alarm = sigset_t()
        sigemptyset(&alarm)
        sigaddset(&alarm, SIGALRM)
        pthread_sigmask(SIG_UNBLOCK, &alarm, &mask)
    }

    deinit {
        timer_delete(timer)
        var mask = mask
        pthread_sigmask(SIG_SETMASK, &mask, nil)
    }

    func start(_ limit: Duration) {
        let (seconds, rest) = limit.components
        var times = itimerspec()
        times.it_value = timespec(tv_sec: Int(seconds), tv_nsec: Int(rest / 1_000_000_000))
        times.it_interval = timespec(tv_sec: 0, tv_nsec: 50_000_000)
        timer_settime(timer, 0, &times, nil)
    }

    func stop() {
        var none = itimerspec()
        timer_settime(timer, 0, &none, nil)
    }
}
