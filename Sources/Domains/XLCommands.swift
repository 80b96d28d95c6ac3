import HostModel

/// Where a saved image goes to or comes from.
public enum ImageEndpoint: Sendable, Equatable {
    /// A file, by its absolute path. `xl save` truncates it, and writes it without an fsync: the caller syncs it before
    /// it relies on it.
    case file(String)
    /// The command's own standard output or input. It must be a pipe or a file: `xl` opens it a second time through
    /// `/dev/stdout` or `/dev/stdin`, which the kernel refuses for a socket (ENXIO).
    case stream
}

/// The `xl` commands of Xen 4.17 that xenlvs runs.
public enum XLCommands {
    /// All domains with their states. Parsed by ``DomainListing``.
    public static func list() -> Command { .query(.xl, "list") }

    /// The configuration of all domains, or of one, as JSON. Parsed by ``DomainDescription/parse(listing:)``.
    ///
    /// A domain whose configuration cannot be had is left out and the exit code is 0 nevertheless
    /// (`list_domains_details`): so it is with a zombie, and with a domain whose restore has not ended.
    public static func describe(_ id: DomainID? = nil) -> Command {
        Command(.xl, ["list", "-l"] + (id.map { [$0.description] } ?? []), .query)
    }

    /// The host's memory, CPU and versions. Parsed by ``HostCapabilities``.
    public static func info() -> Command { .query(.xl, "info") }

    /// The number of the domain that has `name`, on stdout; fails where none has.
    public static func identifier(of name: DomainName) -> Command { .query(.xl, "domid", name.text) }

    /// The name of a domain, on stdout.
    public static func name(of id: DomainID) -> Command { .query(.xl, "domname", id.description) }

    /// Where xenstore has a domain's UUID, on stdout. Read by ``isPath(_:of:)``.
    public static func uuidPath(of id: DomainID) -> Command { .query(.xenstoreRead, "/local/domain/\(id)/vm") }

    /// Whether that path, `/vm/UUID`, is the one of the domain with this UUID.
    public static func isPath(_ path: String, of uuid: String) -> Bool {
        path.trimmingPrefix("/vm/").prefix(36).lowercased() == uuid.lowercased()
    }

    /// Creates a domain from the configuration file at `path`.
    public static func create(configuration path: String, paused: Bool) -> Command {
        Command(.xl, ["create"] + (paused ? ["-p"] : []) + [path], .mutation, deadline: .seconds(180))
    }

    /// What would be made of the configuration file at `path`, as JSON; nothing is created. Parsed by
    /// ``DomainDescription/parse(configuration:)``.
    public static func check(configuration path: String) -> Command { .query(.xl, "-N", "create", "-q", path) }

    /// Asks a domain to shut itself down, and does not wait. Fails where its kernel does not listen.
    public static func shutDown(_ id: DomainID) -> Command { .mutation(.xl, "shutdown", id.description) }

    /// Restores a domain from a saved image and leaves it paused.
    ///
    /// The configuration, disk paths included, comes from the image: `xl save` puts the domain's JSON configuration
    /// into the image's header, with every `pdev_path` as it was configured, links unresolved. The links must therefore
    /// stand at the same paths on the host that restores.
    ///
    /// The process that was started ends when the domain is complete, but a child of it stays behind, in a session of
    /// its own, and watches the domain for reboots (log: `/var/log/xen/xl-NAME.log`): whoever ends process groups or
    /// control groups must leave it alone. Where the stream ends too early, `xl restore` destroys the half-built domain
    /// and exits with 1. Killed, it leaves a paused domain behind, to be destroyed.
    ///
    /// While `xl` may balloon Domain-0 (``HostCapabilities/balloonsControlDomain``), a restore holds `xl`'s lock until
    /// it ends, and no other domain can be created or restored meanwhile.
    ///
    /// - Parameter deadline: for the whole restore, including any time the stream is held back.
    public static func restorePaused(from image: ImageEndpoint, deadline: Duration) -> Command {
        Command(.xl, ["restore", "-p", image.path(stream: "/dev/stdin")], .mutation, deadline: deadline)
    }

    public static func unpause(_ id: DomainID) -> Command { .mutation(.xl, "unpause", id.description) }

    public static func pause(_ id: DomainID) -> Command { .mutation(.xl, "pause", id.description) }

    /// Destroys a domain: its memory is lost, its disks are released.
    public static func destroy(_ id: DomainID) -> Command { .mutation(.xl, "destroy", id.description) }

    /// Writes the memory of a domain that runs on into the file at `path`, which is emptied first. Read by ``CoreDump``.
    ///
    /// The domain is not paused (`xc_domain_dumpcore_via_callback` in `tools/libs/guest/xg_core.c`; each page is mapped by itself),
    /// so no two pages need be of the same moment: it is nothing to restore from. Killed, it leaves the domain as it was.
    public static func dumpMemory(of id: DomainID, to path: String, deadline: Duration) -> Command {
        Command(.xl, ["dump-core", id.description, path], .query, deadline: deadline)
    }

    /// How long a save or a restore may take before something must be wrong: 60 seconds for the guest to acknowledge
    /// the suspend request and 60 to follow it (`libxl_dom_suspend.c`), and the memory at `slowest` bytes a second.
    public static func deadline(memory: ByteCount, slowest: ByteCount = .mebibytes(4)) -> Duration {
        .seconds(120 + memory.bytes / max(1, slowest.bytes))
    }
}

extension ImageEndpoint {
    func path(stream: String) -> String {
        switch self {
        case .file(let path): path
        case .stream: stream
        }
    }
}
