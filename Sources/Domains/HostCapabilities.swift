import HostModel

/// What a Xen host is and has left, from `xl info`.
public struct HostCapabilities: Sendable, Equatable, Codable {
    /// `4.17.7`, with whatever the vendor adds.
    public var xenVersion: String
    public var xenMajor: Int
    public var xenMinor: Int
    /// Which guests the hypervisor runs: `xen-3.0-x86_64`, `hvm-3.0-x86_64` and so on.
    public var guestKinds: [String]
    /// `pv`, `hvm`, `hap`, `shadow` and others. Without `shadow` a PV guest cannot be migrated live; without `hvm`, and one of
    /// `hap` and `shadow`, there are no PVH guests.
    public var virtualization: [String]
    public var cpus: Int
    public var totalMemory: ByteCount
    /// What Xen could give a new domain now, in whole MiB, claims already subtracted.
    public var freeMemory: ByteCount
    public var cpuFeatures: CPUFeatureSet
    /// The hypervisor's own command line.
    public var commandLine: String
    public var kernelRelease: String

    /// Parses the output of ``XLCommands/info()``, `KEY : VALUE` a line (`tools/xl/xl_info.c`).
    public init(parsing text: String) throws(Failure) {
        var fields: [Substring: Substring] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            fields[parts[0].trimmedAtEnd] = parts[1].drop { $0 == " " }.trimmedAtEnd
        }
        func field(_ key: Substring) throws(Failure) -> String {
            guard let value = fields[key] else { throw Self.unreadable("it has no '\(key)'") }
            return String(value)
        }
        func number(_ key: Substring) throws(Failure) -> Int {
            guard let number = Int(try field(key)), (0..<1 << 40).contains(number) else {
                throw Self.unreadable("'\(key)' is no number")
            }
            return number
        }
        xenVersion = try field("xen_version")
        xenMajor = try number("xen_major")
        xenMinor = try number("xen_minor")
        guestKinds = try field("xen_caps").split(separator: " ").map(String.init)
        virtualization = try field("virt_caps").split(separator: " ").map(String.init)
        cpus = try number("nr_cpus")
        totalMemory = .mebibytes(Int64(try number("total_memory")))
        freeMemory = .mebibytes(Int64(try number("free_memory")))
        guard let features = CPUFeatureSet(parsing: try field("hw_caps")) else {
            throw Self.unreadable("'hw_caps' is not a list of words")
        }
        cpuFeatures = features
        commandLine = try field("xen_commandline")
        kernelRelease = try field("release")
    }

    private static func unreadable(_ why: String) -> Failure {
        Failure(
            .inconsistent, "cannot read what 'xl info' says", why: why,
            remedy: "see whether 'xl info' works by hand, and whether Xen is older than 4.15")
    }

    /// Whether the hypervisor can run guests of `type` at all.
    public func canRun(_ type: DomainType) -> Bool {
        switch type {
        case .pv: virtualization.contains("pv")
        case .pvh, .hvm: virtualization.contains("hvm") && hasGuestPaging
        }
    }

    /// Whether a guest can have page tables that are its own. `hvm` stands there without it, too, as on a CPU that has no nested
    /// paging, or with `hap=0`, where Xen is built without shadow paging: then each creation and restore of a PVH guest fails.
    public var hasGuestPaging: Bool { virtualization.contains("hap") || virtualization.contains("shadow") }

    /// Whether `xl` shrinks Domain-0 to make room, unless `autoballoon` in `/etc/xen/xl.conf` says otherwise.
    ///
    /// It does so unless the hypervisor was booted with `dom0_mem=` (`auto_autoballoon` in `tools/xl/xl.c`). Then two
    /// creations or restores cannot go on at the same time, because the first holds `xl`'s lock until it ends; and free
    /// memory says little about what a restore could have.
    public var balloonsControlDomain: Bool {
        !commandLine.split(separator: " ").contains { $0.hasPrefix("dom0_mem=") }
    }
}
