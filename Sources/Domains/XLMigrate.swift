import HostModel

/// Xen's own live migration, with a transport of the caller's (`migrate_domain` and `migrate_receive` in
/// `tools/xl/xl_migrate.c`, Xen 4.17).
///
/// | source, `xl migrate` | | target, `xl migrate-receive` |
/// |---|---|---|
/// | | ← `banner` | |
/// | configuration and stream, the guest suspended for the end of it | → | builds `NAME--incoming`, opens its disks |
/// | | ← `ready` | |
/// | renames the domain to `NAME--migratedaway` | `permission` → | renames its own to `NAME`; with `-p` it stays paused |
/// | success: destroys it | ← `report` and a byte, 0 for success | |
///
/// A transport that ends before `xl migrate` has written its permission makes it resume the guest by itself. One that ends
/// later leaves the domain suspended under its other name, with its memory intact, for whoever decides
/// (``XLCommands/resumeSuspended(_:memory:)``). A stream that ends before the permission makes `xl migrate-receive` destroy
/// what it has built; afterwards it has nothing more to do with the domain.
public enum LiveMigration {
    /// The messages, as they are sent: all but the first with a NUL behind them.
    public static let banner = Array("xl migration receiver ready, send binary domain data.\n".utf8)
    public static let ready = Array("domain received, ready to unpause\0".utf8)
    public static let permission = Array("domain is yours, you are cleared to unpause\0".utf8)
    public static let report = Array("my copy unpause results are as follows\0".utf8)
    /// Follows the report.
    public static let success: UInt8 = 0

    /// Whether libxl says here that it asks the guest to suspend itself: from then on its users wait
    /// (`domain_suspend_callback_common` in `libxl_dom_suspend.c`, for debugging).
    public static func tellsOfSuspension(_ line: some StringProtocol) -> Bool {
        line.contains("suspend request via")
    }
}

extension XLCommands {
    /// Moves a running domain through `transport`, a line for `sh` whose standard input and output are the stream and the
    /// answers. What it prints tells when the guest is suspended.
    public static func migrate(_ id: DomainID, through transport: String, deadline: Duration) -> Command {
        Command(.xl, ["-vvv", "migrate", "-s", "", id.description, transport], .mutation, deadline: deadline)
    }

    /// Takes a domain in that comes on standard input, and leaves it paused.
    public static func migrateReceive(deadline: Duration) -> Command {
        Command(.xl, ["migrate-receive", "-p"], .mutation, deadline: deadline)
    }

    public static func rename(_ id: DomainID, to name: DomainName) -> Command {
        .mutation(.xl, "rename", id.description, name.text)
    }
}
