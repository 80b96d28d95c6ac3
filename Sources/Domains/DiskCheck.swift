import HostModel

/// A disk that keeps its domain from being migrated.
public struct DiskFinding: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// The configuration names this path and no link.
        case notOnALink
        /// The link's name is not a volume's.
        case noVolumeName
        /// Another disk of the same domain names the same link.
        case sharedWithin
        /// A script or another domain serves the disk, and may be missing or different on the target.
        case servedElsewhere
        /// Not plain blocks: QEMU reads a file format from it.
        case formatted
        /// A CD that is in the drive.
        case medium
    }

    /// The device in the guest: `xvda`.
    public var device: String
    public var kind: Kind
    public var what: String
    /// Why it matters.
    public var why: String
    /// What to do.
    public var remedy: String
}

/// Which volume each disk of a domain is on.
public struct DiskAssignment: Sendable, Equatable {
    /// The disks that are on a volume, in the configuration's order.
    public var volumes: [(device: String, volume: VolumeName)]
    /// Empty drives are no disks; every other disk that is not in `volumes` is here.
    public var findings: [DiskFinding]

    public static func == (left: Self, right: Self) -> Bool {
        left.findings == right.findings && left.volumes.elementsEqual(right.volumes, by: ==)
    }
}

/// Checks that a domain's configuration names its disks by their links alone, so that what is behind a link can change.
public enum DiskCheck {
    /// The directory of the links.
    public static let linkDirectory = "/dev/xenlvs"

    public static func link(_ volume: VolumeName) -> String { "\(linkDirectory)/\(volume)" }

    /// Sorts a domain's disks into volumes and findings.
    public static func assign(_ domain: DomainDescription) -> DiskAssignment {
        var assignment = DiskAssignment(volumes: [], findings: [])
        for disk in domain.disks {
            guard let path = disk.path else { continue }
            switch volume(of: disk, path, taken: assignment.volumes.map(\.volume)) {
            case .success(let volume): assignment.volumes.append((disk.device, volume))
            case .failure(let objection): assignment.findings.append(objection.finding(disk, path, domain))
            }
        }
        return assignment
    }

    private static func volume(
        of disk: DomainDisk, _ path: String, taken: [VolumeName]
    ) -> Result<VolumeName, DiskObjection> {
        if disk.isCDROM { return .failure(DiskObjection(kind: .medium)) }
        if disk.script != nil || disk.backendDomain != nil { return .failure(DiskObjection(kind: .servedElsewhere)) }
        if let format = disk.format, format != "raw" { return .failure(DiskObjection(kind: .formatted)) }
        guard path.hasPrefix(linkDirectory + "/") else { return .failure(DiskObjection(kind: .notOnALink)) }
        do {
            let volume = try VolumeName(String(path.dropFirst(linkDirectory.count + 1)))
            return taken.contains(volume) ? .failure(DiskObjection(kind: .sharedWithin)) : .success(volume)
        } catch {
            return .failure(DiskObjection(kind: .noVolumeName, detail: error.why))
        }
    }
}

private struct DiskObjection: Error {
    var kind: DiskFinding.Kind
    var detail: String?

    func finding(_ disk: DomainDisk, _ path: String, _ domain: DomainDescription) -> DiskFinding {
        let subject = "disk \(disk.device) of domain \(domain.name) (\(path))"
        let (what, why, remedy): (String, String, String) =
            switch kind {
            case .notOnALink:
                (
                    "is not configured through a link", Self.needsLink,
                    relink(disk, path, domain, to: "NAME", note: " where NAME is the volume")
                )
            case .noVolumeName:
                (
                    "names a link that no volume can have" + (detail.map { ": \($0)" } ?? ""), Self.needsLink,
                    relink(disk, path, domain, to: "NAME", note: ", after renaming the volume to a legal NAME")
                )
            case .sharedWithin:
                (
                    "is on the same volume as another of its disks", "each disk is replicated by itself",
                    "take one of the two out of the domain's 'disk' list"
                )
            case .servedElsewhere:
                (
                    "is served by \(disk.backendDomain.map { "domain \($0)" } ?? "the script '\(disk.script ?? "")'")",
                    "xenlvs changes what is behind a link and knows no other way to give a guest its disk",
                    "take 'script=' and 'backend=' out of the line of \(disk.device) and name a link there"
                )
            case .formatted:
                (
                    "has the format '\(disk.format ?? "")'",
                    "DRBD replicates blocks, and its device would be read as raw",
                    "convert the image to a volume and write 'format=raw' with the volume's link"
                )
            case .medium:
                (
                    "is a CD in the drive", "the file behind it does not move with the guest",
                    "eject it: xl cd-eject \(Command.quoted(domain.name)) \(disk.device)"
                )
            }
        return DiskFinding(device: disk.device, kind: kind, what: "\(subject) \(what)", why: why, remedy: remedy)
    }

    private static let needsLink =
        "what is behind a path can be exchanged for a replica only where it is a link below \(DiskCheck.linkDirectory)"

    private func relink(
        _ disk: DomainDisk, _ path: String, _ domain: DomainDescription, to name: String, note: String
    ) -> String {
        let last = path.split(separator: "/").last.map(String.init) ?? ""
        let proposal = (try? VolumeName(last))?.text
        return
            "in the configuration file of \(domain.name), in the line 'disk = …' of \(disk.device), change \(path) to "
            + "\(DiskCheck.linkDirectory)/\(proposal ?? name)\(proposal == nil ? note : ""), "
            + "then shut the guest down and create it again"
    }
}
