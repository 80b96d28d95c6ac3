/// A guest that counts: it writes a number and its own clock to each of its disks five times a second, makes them
/// durable, and only then prints `tick NUMBER MILLISECONDS` on its console. See `Tests/Lab/image/guest/init`.
public struct LabGuest: Sendable {
    /// How Xen runs it. Debian's Xen has no shadow paging: a PV guest can be saved and restored, not migrated live.
    public enum Kind: String, Sendable {
        case pv
        case pvh
    }

    /// One disk as the guest's configuration has it.
    public struct Disk: Sendable {
        /// The host's path, normally a link in `/dev/xenlvs`.
        public let path: String
        /// The guest's name of it: xvda, xvdb.
        public let device: String

        public init(path: String, device: String) {
            self.path = path
            self.device = device
        }
    }

    public let name: String
    public let kind: Kind
    /// In MB; 96 is enough.
    public let memory: Int
    public let disks: [Disk]
    /// Whether all that it runs lies on its first disk too, and not in its memory.
    public let hasRootOnDisk: Bool
    /// How many writes to its first disk are under way all the time, beside its counting; 0 for none. See
    /// `Tests/Lab/image/programs/load.c`.
    public let writesUnderWay: Int

    /// A guest whose first volume is its xvda and whose second, if it has one, its xvdb, both by their links.
    ///
    /// - Parameter volumes: names in `/dev/xenlvs`; the guest's own name if none is given.
    public init(
        _ name: String, kind: Kind = .pv, memory: Int = 96, volumes: [String] = [], hasRootOnDisk: Bool = false,
        writesUnderWay: Int = 0
    ) {
        self.name = name
        self.hasRootOnDisk = hasRootOnDisk
        self.writesUnderWay = writesUnderWay
        self.kind = kind
        self.memory = memory
        let volumes = volumes.isEmpty ? [name] : volumes
        disks = zip(volumes, ["xvda", "xvdb"]).map { Disk(path: "/dev/xenlvs/\($0)", device: $1) }
    }

    /// The same at every start, so that a guest which has lost its memory is known again.
    private var uuid: String {
        let digits = name.utf8.reduce(into: "") { $0 += String($1, radix: 16) }.suffix(12)
        return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
    }

    /// Where its configuration lies on a node.
    public var configurationPath: String { "/etc/xen/\(name).cfg" }

    /// Where a node keeps what the guest printed while it ran there.
    public var consolePath: String { "/var/log/xen/console/guest-\(name).log" }

    /// What its own init looks for on the kernel's command line.
    private var words: String {
        (hasRootOnDisk ? " lab.root" : "") + (writesUnderWay > 0 ? " lab.load=\(writesUnderWay)" : "")
    }

    /// Its configuration for `xl`.
    public var configuration: String {
        """
        name = "\(name)"
        uuid = "\(uuid)"
        type = "\(kind.rawValue)"
        kernel = "/lab/guest/vmlinuz"
        ramdisk = "/lab/guest/initrd"
        extra = "console=hvc0 loglevel=3 panic=1 mitigations=off lsm= cryptomgr.notests\(words)"
        memory = \(memory)
        maxmem = \(memory)
        vcpus = 1
        disk = [\(disks.map { "\"phy:\($0.path),\($0.device),w\"" }.joined(separator: ", "))]
        on_poweroff = "destroy"
        on_reboot = "restart"
        on_crash = "destroy"

        """
    }
}
