import Domains
import HostModel
import Migration
import Storage

/// One result of a check: what was found, why it matters, what to do.
public struct Finding: Sendable, Codable, Equatable {
    public enum Severity: String, Sendable, Codable, Comparable {
        case fine, warning, blocking

        private var rank: Int {
            switch self {
            case .fine: 0
            case .warning: 1
            case .blocking: 2
            }
        }
        public static func < (left: Severity, right: Severity) -> Bool { left.rank < right.rank }
    }

    public var severity: Severity
    public var host: String
    public var what: String
    public var why: String?
    public var remedy: String?

    init(_ severity: Severity, _ host: HostName, _ what: String, why: String? = nil, remedy: String? = nil) {
        self.severity = severity
        self.host = host.text
        self.what = what
        self.why = why
        self.remedy = remedy
    }
}

/// Judges whether a domain can be migrated, from what both hosts say of themselves. Pure.
public struct Preflight: Sendable {
    /// What is to be migrated; nil where only the hosts are examined.
    public struct Subject: Sendable {
        public var description: DomainDescription
        public var volumes: [VolumeName]
        /// Where the target's volumes are to be.
        public var targetPlaces: [VolumePlace]
        /// What the hosts need for it; nil where that is yet to be chosen.
        public var plan: MigrationPlan?
    }

    let source: HostSurvey
    let target: HostSurvey
    let subject: Subject?

    public init(source: HostSurvey, target: HostSurvey, subject: Subject?) {
        self.source = source
        self.target = target
        self.subject = subject
    }

    /// Everything that was looked at, the worst first.
    public func findings() -> [Finding] {
        let replicates = subject?.plan?.storage != .shared
        var findings =
            Self.hostFindings(source, replicates: replicates) + Self.hostFindings(target, replicates: replicates)
            + pairFindings(replicates: replicates)
        if let subject { findings += subjectFindings(subject) }
        return findings.enumerated().sorted { left, right in
            left.element.severity == right.element.severity
                ? left.offset < right.offset : left.element.severity > right.element.severity
        }.map(\.element)
    }

    /// What is wrong with one host, whatever it is to do.
    public static func hostFindings(_ survey: HostSurvey, replicates: Bool = true) -> [Finding] {
        var findings = survey.obstacles.map {
            Finding(.blocking, survey.host, $0.what, why: $0.why, remedy: $0.remedy)
        }
        if let xen = survey.xen {
            findings.append(Finding(.fine, survey.host, "Xen \(xen.xenVersion) runs"))
            if xen.balloonsControlDomain {
                findings.append(
                    Finding(
                        .warning, survey.host, "Xen may take memory from Domain-0 for a guest",
                        why: "a restore then takes longer, and others wait for it",
                        remedy: "boot Xen with dom0_mem=SIZE,max:SIZE"))
            }
        }
        guard replicates else { return findings }
        findings += drbdFindings(survey)
        if survey.lvmAcceptsDRBD {
            findings.append(
                Finding(
                    .warning, survey.host, "LVM looks into DRBD devices",
                    why: "a scan that holds a device open delays a hand-over", remedy: LVMDeviceFilter.remedy))
        }
        return findings
    }

    private static func drbdFindings(_ survey: HostSurvey) -> [Finding] {
        if let version = survey.drbd.version {
            return [Finding(.fine, survey.host, "DRBD \(version) is loaded")]
                + survey.drbd.objections.map {
                    Finding(.warning, survey.host, $0.what, why: $0.why, remedy: $0.remedy)
                }
        }
        if survey.drbd.isAvailable { return [Finding(.fine, survey.host, "DRBD can be loaded")] }
        return [
            Finding(
                .blocking, survey.host, "DRBD is missing", why: "this kernel has no module 'drbd'",
                remedy: "install the kernel package that has it, then 'modprobe drbd'")
        ]
    }

    private func pairFindings(replicates: Bool) -> [Finding] {
        var findings: [Finding] = []
        if source.version != target.version {
            findings.append(
                Finding(
                    .warning, target.host, "xenlvs \(target.version) runs here, \(source.version) on \(source.host)",
                    remedy: "install the same version on both"))
        }
        let difference = source.clock.subtractingReportingOverflow(target.clock)
        let apart = difference.overflow ? .max : Int64(clamping: difference.partialValue.magnitude)
        if apart > 5_000 {
            findings.append(
                Finding(
                    .warning, target.host, "the clocks are \(apart / 1000) seconds apart",
                    why: "the guest's clock jumps by as much", remedy: "run a time service on both hosts"))
        } else {
            findings.append(Finding(.fine, target.host, "the clocks agree"))
        }
        if replicates, let here = source.drbd.version, let there = target.drbd.version,
            here.split(separator: ".").first != there.split(separator: ".").first
        {
            findings.append(
                Finding(
                    .blocking, target.host, "DRBD \(there) cannot be a peer of \(here) on \(source.host)",
                    remedy: "load the same major version on both hosts"))
        }
        if let here = source.xen, let there = target.xen,
            (there.xenMajor, there.xenMinor) < (here.xenMajor, here.xenMinor)
        {
            findings.append(
                Finding(
                    .blocking, target.host,
                    "Xen \(there.xenVersion) is older than \(here.xenVersion) on \(source.host)",
                    why: "an older Xen does not restore a newer one's image", remedy: "upgrade Xen on \(target.host)"))
        }
        return findings
    }
}
