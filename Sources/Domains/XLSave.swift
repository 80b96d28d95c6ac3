import HostModel

extension XLCommands {
    /// What `xl save` does with the domain once its last byte is written.
    public enum AfterSaving: Sendable, Equatable {
        /// Destroys it, at once and without waiting for the data to be anywhere but in the page cache or in a pipe.
        case destroy
        /// Leaves it paused, its memory intact: an unpause lets it run on as if nothing had been. Its disks stay open,
        /// so the caller destroys it once the image is safe and before the disks change.
        case keepPaused
    }

    /// Suspends a domain and writes its image.
    ///
    /// **A pipe and `.destroy` do not go together with safety.** `xl` destroys the domain when the pipe has taken the
    /// last bytes, not when the reader has stored them: a reader that is killed then takes up to 64 KiB of the image
    /// with it, and no copy of the guest is left (tried: exit code 0, the domain gone). Either `xl` writes the file
    /// itself and others follow the growing file, or the domain is kept paused until the image is whole
    /// (``SavedImage/check(_:)``) and synced.
    ///
    /// What becomes of the domain when a save does not succeed (source: Xen 4.17, `save_domain` in
    /// `tools/xl/xl_saverestore.c`, `libxl_save_callout.c`; all but the time-out and SIGINT also tried on Debian 12's
    /// Xen 4.17.7):
    ///
    /// | what happens | the domain afterwards |
    /// |---|---|
    /// | the guest does not suspend within 60 seconds | runs on; exit code 1 |
    /// | a write fails (ENOSPC) | `xl` resumes it: it runs on within a second; exit code 1; the partial file stays |
    /// | the pipe's reader closes before the pipe has taken the last byte | likewise |
    /// | it closes after that | the save has succeeded: what stood in the pipe is lost |
    /// | SIGTERM to the child `libxl-save-helper` | likewise, when its write returns: the clean way to call it off |
    /// | SIGKILL, SIGTERM or SIGINT to `xl` itself | stays suspended (``DomainState/suspended``), image cut off |
    ///
    /// In the last case nothing is lost, the memory and the open disks are intact, but an unpause is refused ("Invalid
    /// argument"); the helper survives `xl` and blocks until its reader goes. ``resumeSuspended(_:memory:)`` brings the
    /// domain back, or a second save writes its image after all, 60 seconds later. Killed before the guest has
    /// answered, `xl` leaves a suspend request in xenstore that the guest still follows: see ``withdrawRequest(of:)``.
    ///
    /// So whoever runs this keeps signals away from `xl` (a session of its own against Ctrl-C, no kill at a deadline,
    /// not in a service's control group that is stopped with it). To call it off it ends the helper or, with
    /// `.keepPaused`, closes the reader. Exit code 0 does not say that the domain is gone, because `xl` does not look
    /// at what its destroy returned.
    public static func save(
        _ id: DomainID, to image: ImageEndpoint, then afterwards: AfterSaving, deadline: Duration
    ) -> Command {
        let options =
            switch afterwards {
            case .destroy: [String]()
            case .keepPaused: ["-p"]
            }
        return Command(
            .xl, ["save"] + options + [id.description, image.path(stream: "/dev/stdout")], .mutation,
            deadline: deadline)
    }

    /// Lets a domain run on that a killed `xl save` has left suspended.
    ///
    /// Xen 4.17 has no command for it (`xl resume` came with 4.20), but a save resumes a domain when it fails, and with
    /// `-c` also when it succeeds. On a suspended domain libxl waits 60 seconds for an answer to its suspend request,
    /// goes on in the belief that it came, writes the image to /dev/null and resumes: 61 seconds in all for 96 MiB. So
    /// libxl is given a save helper that ends at once (`run_helper` in `libxl_save_callout.c`): the save fails, and the
    /// same takes 0.4 seconds, with exit code 1. Either way a domain that is running after all is not harmed, and the
    /// caller looks at the state afterwards.
    ///
    /// Never while the save still goes on: a domain is suspended then, too, and `xl` would destroy it under the resumed
    /// guest. A save goes on while there is a process `libxl-save-helper --save-domain FD FD NUMBER …` with its parent
    /// `xl`.
    public static func resumeSuspended(_ id: DomainID, memory: ByteCount) -> Command {
        Command(
            .xl, ["save", "-c", id.description, "/dev/null"], .mutation, deadline: deadline(memory: memory),
            acceptedExitCodes: [0, 1], environment: ["LIBXL_SAVE_HELPER": "/bin/false"])
    }

    /// What a domain is asked to do and has not taken note of yet, on stdout; empty for nothing, and exit code 1 where it
    /// has no such node. Read by ``isSuspendRequest(_:)``.
    public static func request(of id: DomainID) -> Command {
        Command(.xenstoreRead, [requestPath(id)], .query, acceptedExitCodes: [0, 1])
    }

    /// Whether what ``request(of:)`` printed asks the domain to suspend itself.
    public static func isSuspendRequest(_ output: String) -> Bool {
        output.split(whereSeparator: \.isNewline).first == "suspend"
    }

    /// Takes back what a domain is asked to do, as `xl` does after 60 seconds without an answer.
    ///
    /// A guest takes note by writing the same, in a transaction: one that has read the request and not taken note of it
    /// finds it gone. One that has taken note just before suspends itself all the same, so whoever runs this looks at its
    /// state for a while (``resumeSuspended(_:memory:)``). Never while an `xl` is at work on the domain: it would take
    /// this for the guest's answer.
    public static func withdrawRequest(of id: DomainID) -> Command { .mutation(.xenstoreWrite, requestPath(id), "") }

    private static func requestPath(_ id: DomainID) -> String { "/local/domain/\(id)/control/shutdown" }
}
