import Domains
import HostModel
import Migration
import Storage

extension Preflight {
    /// What speaks against moving this domain.
    func subjectFindings(_ subject: Subject) -> [Finding] {
        memoryFindings(subject) + cpuFindings(subject) + nameFindings(subject)
            + zip(subject.volumes, subject.targetPlaces).flatMap { volumeFindings($0, $1) } + spaceFindings(subject)
            + zip(subject.volumes, subject.targetPlaces).flatMap { cacheFindings($0, $1, subject.plan) }
            + configurationFindings(subject)
    }

    /// A Linux guest learns at its start alone whether its disk has a cache (`blkif_recover`, drivers/block/xen-blkfront.c).
    private func cacheFindings(_ name: VolumeName, _ place: VolumePlace, _ plan: MigrationPlan?) -> [Finding] {
        guard plan?.method != .cold, let group = place.logicalVolume?.group,
            let here = source.volumes.first(where: { $0.name == name })?.hasCache,
            let there = target.groups.first(where: { $0.name == group })?.hasCache, here != there
        else { return [] }
        if there {
            return [
                Finding(
                    .blocking, target.host, "the disks of '\(group)' have a cache that has to be flushed",
                    why:
                        "the guest was told on \(source.host) that '\(name)' has none, and does not flush: a power cut would "
                        + "take what it believes to be written", remedy: "migrate with --method cold")
            ]
        }
        return [
            Finding(
                .blocking, target.host, "the disks of '\(group)' have no cache",
                why: "the guest flushes '\(name)', which has one on \(source.host), and each flush would fail there",
                remedy: "migrate with --method cold")
        ]
    }

    /// The guest itself needs no configuration to move, but its new host does when it is started again.
    private func configurationFindings(_ subject: Subject) -> [Finding] {
        let name = subject.description.name
        let path = source.configuration ?? target.configuration ?? "/etc/xen/\(name).cfg"
        if subject.plan?.method == .cold {
            return [source, target].map { survey in
                survey.configuration.map { Finding(.fine, survey.host, "\($0) is there") }
                    ?? Finding(
                        .blocking, survey.host, "there is no configuration of \(name)",
                        why: "a cold migration starts it from that, on either host",
                        remedy: "put it there as \(path), with the kernel that it names")
            }
        }
        if let path = target.configuration { return [Finding(.fine, target.host, "\(path) is there")] }
        return [
            Finding(
                .warning, target.host, "there is no configuration of \(name)",
                why:
                    "it runs on after the migration, but a restart of \(target.host) ends it and nothing starts it again",
                remedy: "copy \(path) and the kernel it names from \(source.host)")
        ]
    }

    private func memoryFindings(_ subject: Subject) -> [Finding] {
        guard let xen = target.xen else { return [] }
        var findings: [Finding] = []
        if !xen.canRun(subject.description.type) { findings.append(cannotRun(subject.description.type, xen)) }
        let needed = MemoryRequirement.restore(of: subject.description)
        if xen.freeMemory < needed {
            findings.append(
                Finding(
                    .blocking, target.host, "there is too little memory for the guest",
                    why: "\(needed) are needed, \(xen.freeMemory) are free",
                    remedy: "shut down or balloon down a guest there, or choose another target"))
        } else {
            findings.append(Finding(.fine, target.host, "\(xen.freeMemory) of memory are free, \(needed) are needed"))
        }
        return findings
    }

    private func cannotRun(_ type: DomainType, _ xen: HostCapabilities) -> Finding {
        let what = "this host cannot run \(type.rawValue) guests"
        guard type != .pv, xen.virtualization.contains("hvm"), !xen.hasGuestPaging else {
            return Finding(
                .blocking, target.host, what, why: "its Xen or its CPU does not offer it",
                remedy: "choose another target")
        }
        return Finding(
            .blocking, target.host, what, why: "its Xen has neither hap nor shadow paging, which they need",
            remedy:
                "switch nested paging (Intel EPT, AMD NPT) on in its firmware and boot Xen without hap=0, or choose "
                + "another target")
    }

    private func cpuFindings(_ subject: Subject) -> [Finding] {
        // A guest that is started anew sees the CPU as it is.
        guard subject.plan?.method != .cold, let here = source.xen, let there = target.xen else { return [] }
        let missing = here.cpuFeatures.missing(in: there.cpuFeatures, mattersTo: subject.description.type)
        guard missing.isEmpty else {
            return [
                Finding(
                    .blocking, target.host, "the CPU lacks \(missing.map(\.name).joined(separator: ", "))",
                    why: "a guest that has seen a feature on \(source.host) uses it after the restore, and crashes",
                    remedy: "choose a target with the same or a newer CPU, or mask the feature for the guest (cpuid=)")
            ]
        }
        return [Finding(.fine, target.host, "the CPU has every feature of \(source.host)'s")]
    }

    private func nameFindings(_ subject: Subject) -> [Finding] {
        var findings: [Finding] = []
        if target.domains.contains(subject.description.name) {
            findings.append(
                Finding(
                    .blocking, target.host, "there is a domain '\(subject.description.name)' already",
                    remedy: "rename or destroy it"))
        }
        for (survey, id) in [(source, source.openMigration), (target, target.openMigration)] {
            guard let id else { continue }
            findings.append(
                Finding(
                    .blocking, survey.host, "migration \(id) of this domain is not finished",
                    remedy: "see 'xenlvs migration status \(id)'; resume or abort it"))
        }
        for obstacle in subject.description.obstacles {
            findings.append(Finding(.blocking, source.host, "the domain cannot be migrated", why: obstacle))
        }
        return findings
    }

    private func volumeFindings(_ name: VolumeName, _ place: VolumePlace) -> [Finding] {
        guard let here = source.volumes.first(where: { $0.name == name }) else { return [] }
        return sourceLinkFindings(here) + targetVolumeFindings(here, place)
            + metadataFindings(source, name, here.record?.place) + metadataFindings(target, name, place)
    }

    /// A domain that is not being migrated has no metadata of ours: what is in their place is somebody else's.
    private func metadataFindings(_ survey: HostSurvey, _ name: VolumeName, _ place: VolumePlace?) -> [Finding] {
        guard let group = place?.logicalVolume?.group, let facts = survey.volumes.first(where: { $0.name == name }),
            facts.metadataGroups.contains(group)
        else { return [] }
        return [
            Finding(
                .blocking, survey.host, "there is a volume \(group)/\(name.metadataVolume) already",
                why: "the DRBD metadata of \(name) would have to be there",
                remedy: "see whose it is; rename or remove it by hand")
        ]
    }

    private func sourceLinkFindings(_ volume: VolumeFacts) -> [Finding] {
        let link = "/dev/xenlvs/\(volume.name)"
        if volume.isForeign {
            return [Finding(.blocking, source.host, "\(link) is not a link", remedy: "move it away by hand")]
        }
        guard let shown = volume.link else {
            return [
                Finding(
                    .blocking, source.host, "the link \(link) is missing",
                    remedy: "put it back with 'xenlvs link repair'")
            ]
        }
        guard let record = volume.record else {
            return [
                Finding(
                    .blocking, source.host, "the volume \(volume.name) is not recorded",
                    why: "the link to \(shown) was made by hand",
                    remedy: "record it with 'xenlvs link set \(volume.name) \(shown)'")
            ]
        }
        guard volume.linkIsWhole else {
            return [
                Finding(
                    .blocking, source.host, "the link \(link) leads nowhere", why: "there is no \(shown)",
                    remedy: "see 'xenlvs link show \(volume.name)' and 'xenlvs link repair'")
            ]
        }
        guard volume.linkMatchesRecord else {
            return [
                Finding(
                    .blocking, source.host, "the link \(link) was changed by hand",
                    why: "it leads to \(shown), recorded is \(record.place)",
                    remedy: "put it right with 'xenlvs link repair', or record it with 'xenlvs link set'")
            ]
        }
        if case .replica = record.switchGoal {
            return [
                Finding(
                    .blocking, source.host, "the volume \(volume.name) is on a replica already",
                    why: "its switch was led there by a swap, and the migration makes a replica of its own",
                    remedy: "go back first: xenlvs swap \(volume.name) --to volume")
            ]
        }
        if let move = record.switchGoal?.move {
            return [
                Finding(
                    .blocking, source.host, "the volume \(volume.name) is on its way to \(move.place)",
                    why: "a swap is not finished", remedy: "see 'xenlvs volume show \(volume.name)'")
            ]
        }
        if let attachment = record.place.attachment {
            return [
                Finding(
                    .blocking, source.host, "the volume \(volume.name) is on the attachment \(attachment)",
                    why: "a migration copies volumes, and this one is on another host",
                    remedy: "go to a volume group first: xenlvs swap \(volume.name) --to vg:VG --copy")
            ]
        }
        return [Finding(.fine, source.host, "\(link) leads to \(shown)")]
    }

    private func targetVolumeFindings(_ here: VolumeFacts, _ place: VolumePlace) -> [Finding] {
        guard let there = target.volumes.first(where: { $0.name == here.name }) else { return [] }
        var findings: [Finding] = []
        if there.isForeign {
            findings.append(
                Finding(
                    .blocking, target.host, "/dev/xenlvs/\(here.name) is not a link", remedy: "move it away by hand"))
        } else if there.record == nil, let link = there.link {
            findings.append(
                Finding(
                    .blocking, target.host, "there is a link /dev/xenlvs/\(here.name) already",
                    why: "it leads to \(link) and xenlvs did not make it", remedy: "remove it"))
        }
        let isThere = place.logicalVolume.map { there.groups.contains($0.group) } ?? (there.record != nil)
        guard isThere else { return findings }
        switch there.record?.state {
        case .retired where there.dependants?.isEmpty == false:
            let uses = there.dependants ?? []
            findings.append(
                Finding(
                    .blocking, target.host, "the old copy of \(here.name) at \(place) cannot be used again",
                    why: "its content would be overwritten, and \(uses.sentences)", remedy: uses.first?.remedy))
        case .retired where there.record?.size == here.size && there.record?.place == place:
            findings.append(Finding(.fine, target.host, "the copy of \(here.name) at \(place) is used again"))
        case .retired, .incoming, .active, .former, .restoring, nil:
            findings.append(
                Finding(
                    .blocking, target.host, "there is a volume \(here.name) at \(place) already",
                    why: there.record == nil
                        ? "xenlvs has no record of it as a copy of its own"
                        : "it is not a left-over copy of the same size",
                    remedy: "remove or rename it, or choose another group with --target-vg"))
        }
        return findings
    }

    private func spaceFindings(_ subject: Subject) -> [Finding] {
        var findings: [Finding] = []
        let image = MemoryRequirement.savedImage(of: subject.description)
        let saves = subject.plan?.method != .live && subject.plan?.method != .cold
        for survey in [source, target] where saves && survey.freeForImages < image {
            findings.append(
                Finding(
                    .blocking, survey.host, "there is too little room for the saved image",
                    why: "\(image) are needed below /var/lib/xenlvs, \(survey.freeForImages) are free",
                    remedy: "free some space"))
        }
        let new = zip(subject.volumes, subject.targetPlaces).filter { name, place in
            let there = target.volumes.first { $0.name == name }
            return place.logicalVolume.map { there?.groups.contains($0.group) != true } ?? false
        }
        for (group, needs) in Dictionary(grouping: new, by: { $0.1.logicalVolume?.group.text ?? "" }) {
            findings += groupFindings(group, needs.map(\.0))
        }
        return findings
    }

    private func groupFindings(_ name: String, _ volumes: [VolumeName]) -> [Finding] {
        guard let group = target.groups.first(where: { $0.name.text == name }) else {
            let names = target.groups.map(\.name.text).joined(separator: ", ")
            // A restricted key is shown the groups that it may fill and no others.
            return [
                Finding(
                    .blocking, target.host, "there is no volume group '\(name)'",
                    why: names.isEmpty
                        ? "it has none, or none that the key of \(source.host) may fill" : "there are \(names)",
                    remedy: "choose one with --target-vg"
                        + (names.isEmpty ? ", or add it with --into to the key's line in authorized_keys there" : ""))
            ]
        }
        var findings: [Finding] = []
        var needed = ByteCount(0)
        for volume in volumes {
            guard let size = source.volumes.first(where: { $0.name == volume })?.size else { continue }
            if size.bytes % group.extentSize.bytes != 0 {
                findings.append(
                    Finding(
                        .blocking, target.host, "a volume of exactly \(size.bytes) bytes cannot be made in '\(name)'",
                        why: "its extents have \(group.extentSize)",
                        remedy: "choose a group with smaller extents, or extend \(volume) to a multiple of them"))
            }
            // Metadata take one extent or a few.
            needed = needed + size + group.extentSize.roundedUp(to: .mebibytes(4))
        }
        if group.free < needed {
            findings.append(
                Finding(
                    .blocking, target.host, "the volume group '\(name)' is too small",
                    why: "\(needed) are needed, \(group.free) are free", remedy: "free some space or add a disk to it"))
        } else {
            findings.append(Finding(.fine, target.host, "'\(name)' has \(group.free) free, \(needed) are needed"))
        }
        return findings
    }
}
