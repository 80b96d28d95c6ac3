import Domains
import FoundationEssentials
import HostModel
import Hosts
import Migration
import Replication
import Storage

#if canImport(Glibc)
    import Glibc
#endif

extension HostWorker {
    /// Looks at everything a migration needs to know of this host. What cannot be found out becomes an obstacle, so that
    /// one look shows all that is wrong.
    func survey(_ query: SurveyQuery) async throws -> HostSurvey {
        var obstacles: [Failure] = []
        func attempt<Value>(_ what: String, _ otherwise: Value, _ body: () async throws -> Value) async -> Value {
            do { return try await body() } catch {
                obstacles.append(Failure(error, doing: what).on(host.name.text))
                return otherwise
            }
        }
        let xen = await attempt("cannot ask Xen", nil as HostCapabilities?) {
            try HostCapabilities(parsing: try await host.runner.run(XLCommands.info()).output)
        }
        let domains = await attempt("cannot list the domains", [String]()) {
            try await host.runner.domains().entries.compactMap(\.name)
        }
        let groups = await attempt("cannot list the volume groups", [GroupFacts]()) {
            let disks = try LVMReport.physicalVolumes(
                try await host.runner.run(LVMCommands.listPhysicalVolumes()).output)
            return try LVMReport.groups(try await host.runner.run(LVMCommands.listGroups()).output).map {
                GroupFacts(
                    name: $0.name, free: $0.free, extentSize: $0.extentSize, hasCache: Self.hasCache($0.name, disks))
            }
        }
        let logicalVolumes = await attempt("cannot list the logical volumes", [LogicalVolume]()) {
            try LVMReport.volumes(try await host.runner.run(LVMCommands.listVolumes()).output)
        }
        let volumes = await attempt("cannot look at the volumes", [VolumeFacts]()) {
            var volumes = try query.volumes.map { try facts($0, logicalVolumes) }
            for index in volumes.indices {
                guard let record = volumes[index].record, case .retired = record.state else { continue }
                let dependants = try await host.dependants(at: record.place, uuid: record.logicalVolumeUUID)
                volumes[index].dependants = dependants.uses
            }
            return volumes
        }
        let numbers = await attempt("cannot find free DRBD numbers", NumbersInUse()) { try await numbersInUse() }
        let free = await attempt("cannot look at the image directory", ByteCount(0)) { try host.images.freeSpace() }
        let acceptsDRBD = await attempt("cannot read LVM's filter", false) {
            try await LVMReach.read(host).looks(into: ["/dev/drbd0"])
        }
        return HostSurvey(
            host: host.name, version: version, xen: xen, drbd: drbdFacts(),
            cpuFlags: CPUInfoFlags.parse(KernelFile.read("/proc/cpuinfo") ?? ""), clock: HostContext.now(),
            groups: groups, freeForImages: free, numbers: numbers, domains: domains,
            openMigration: try openMigration(of: query.domain), configuration: query.domain.flatMap(configuration),
            volumes: volumes, lvmAcceptsDRBD: acceptsDRBD, obstacles: obstacles,
            methods: MigrationPlan.Method.allCases.map(\.rawValue))
    }

    /// Where Debian's `xendomains` and administrators by custom keep a domain's configuration.
    func configuration(of domain: DomainName) -> String? {
        ["/etc/xen/\(domain).cfg", "/etc/xen/auto/\(domain).cfg", "/etc/xen/\(domain)"].first { access($0, R_OK) == 0 }
    }

    private func openMigration(of domain: DomainName?) throws -> String? {
        guard let domain else { return nil }
        return try host.database.migrations(openOnly: true).first { $0.domain == domain.text }?.id
    }

    private func drbdFacts() -> DRBDFacts {
        let version = KernelFile.read(DRBDModule.versionFile).map { $0.filter { !$0.isWhitespace } }
        let release = (KernelFile.read("/proc/sys/kernel/osrelease") ?? "").filter { !$0.isWhitespace }
        let known = KernelFile.read("/lib/modules/\(release)/modules.dep") ?? ""
        let builtIn = KernelFile.read("/lib/modules/\(release)/modules.builtin") ?? ""
        let isAvailable = version != nil || known.contains("/drbd.ko") || builtIn.contains("/drbd.ko")
        guard version != nil else { return DRBDFacts(version: nil, isAvailable: isAvailable, objections: []) }
        let objections = DRBDModule.objections(
            disableSendpage: KernelFile.read(DRBDModule.parameterDirectory + "/disable_sendpage"),
            usermodeHelper: KernelFile.read(DRBDModule.parameterDirectory + "/usermode_helper"))
        return DRBDFacts(version: version, isAvailable: true, objections: objections)
    }

    private static func hasCache(_ group: VolumeGroupName, _ disks: [PhysicalVolume]) -> Bool? {
        let answers = Set(
            disks.filter { $0.group == group.text }.map { try? BlockDevice(at: $0.path).hasVolatileCache() })
        return answers.count == 1 ? answers.first ?? nil : nil
    }

    private func facts(_ name: VolumeName, _ logicalVolumes: [LogicalVolume]) throws -> VolumeFacts {
        let record = try host.database.volume(name)
        var facts = VolumeFacts(
            name: name, record: try recordedVolume(name), link: nil, linkIsWhole: false, size: nil, isForeign: false,
            linkMatchesRecord: false,
            groups: logicalVolumes.filter { $0.reference.name == LogicalVolumeName(of: name) }.map(\.reference.group),
            metadataGroups: logicalVolumes.filter { $0.reference.name == LogicalVolumeName(metadataOf: name) }
                .map(\.reference.group))
        switch try host.links.read(name) {
        case .absent: break
        case .notALink: facts.isForeign = true
        case .link(let target, let end):
            facts.link = target
            if case .device = end {
                facts.linkIsWhole = true
                let device = try BlockDevice(at: target)
                (facts.size, facts.hasCache) = (try device.size(), try? device.hasVolatileCache())
            }
            facts.linkMatchesRecord = try record.map { try matches(target, $0) } ?? false
        }
        return facts
    }

    /// A file's loop device has another name after every boot; the link is right where it leads to a device over the file.
    private func matches(_ target: String, _ record: VolumeRecord) throws -> Bool {
        if record.backing.hasPrefix("/dev/") {
            switch try host.links.compare(record.name, expected: record.backing) {
            case .same, .sameDevice: return true
            case .dangling, .absent, .differs: return false
            }
        }
        let node = try BlockDevice(at: target).node
        let file = KernelFile.read("/sys/block/\(node.split(separator: "/").last ?? "")/loop/backing_file")
        return file?.trimmingSuffix(while: \.isNewline) == record.backing[...]
    }

    /// Minors and ports that the journal, DRBD or anything else holds on this host.
    func numbersInUse() async throws -> NumbersInUse {
        let held = try host.database.allocations()
        var numbers = NumbersInUse(minors: held.minors, ports: held.ports)
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            numbers.ports.formUnion(NumbersInUse.ports(procNetTCP: KernelFile.read(table) ?? ""))
        }
        if KernelFile.read(DRBDModule.versionFile) != nil {
            let output = try await host.runner.run(DRBDCommands(dialect: try await dialect()).statusOfAll).output
            numbers.minors.formUnion(try ReplicaStatus.parse(events2: output).flatMap { $0.volumes.map(\.minor) })
        }
        return numbers
    }
}

extension String {
    fileprivate func trimmingSuffix(while condition: (Character) -> Bool) -> Substring {
        var text = self[...]
        while let last = text.last, condition(last) { text = text.dropLast() }
        return text
    }
}
