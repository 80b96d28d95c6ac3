import HostModel

/// How the kernel module has to be loaded.
public enum DRBDModule {
    /// Loads the module; does nothing where it is loaded already.
    ///
    /// `disable_sendpage`: without it DRBD hands a guest's own pages to TCP, which may still read them when the guest
    /// has been told that the write is done (the DRBD 8.4 user's guide, chapter on Xen). `usermode_helper`: xenlvs
    /// decides by itself, no script of DRBD's may interfere. DRBD 9 ignores a parameter that it no longer has.
    public static let load = Command.mutation(.modprobe, "drbd", "disable_sendpage=1", "usermode_helper=/bin/true")

    /// Where the module's parameters and version are found.
    public static let parameterDirectory = "/sys/module/drbd/parameters"
    public static let versionFile = "/sys/module/drbd/version"

    /// What is wrong with a module that somebody else loaded, one finding each; empty where nothing is.
    /// - Parameters:
    ///   - disableSendpage: the text of the parameter `disable_sendpage`; nil where DRBD has none (9.2 and newer).
    ///   - usermodeHelper: the text of `usermode_helper`.
    public static func objections(disableSendpage: String?, usermodeHelper: String?) -> [Failure] {
        var findings: [Failure] = []
        if let disableSendpage, trimmed(disableSendpage) != "Y" {
            findings.append(
                Failure(
                    .refused, "DRBD may send pages that the guest is changing",
                    why: "the module was loaded without disable_sendpage=1",
                    remedy: "echo 1 > \(parameterDirectory)/disable_sendpage"))
        }
        if let usermodeHelper, trimmed(usermodeHelper) != "/bin/true" {
            findings.append(
                Failure(
                    .refused, "DRBD calls a helper program of its own",
                    why: "the module's usermode_helper is '\(trimmed(usermodeHelper))'",
                    remedy: "echo /bin/true > \(parameterDirectory)/usermode_helper, if no other resource needs it"))
        }
        return findings
    }

    private static func trimmed(_ text: String) -> Substring {
        text.prefix { !$0.isNewline }
    }
}
