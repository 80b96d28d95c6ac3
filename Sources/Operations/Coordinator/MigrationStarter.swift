import Domains
import Glibc
import HostModel
import Hosts
import Migration
import Replication
import Reporting
import Storage

/// What an operator asks for.
public struct MigrationRequest: Sendable {
    public var domain: DomainName
    public var target: HostName
    /// Nil for the one by which the domain stands still the least.
    public var method: MigrationPlan.Method?
    public var settlement: MigrationPlan.Settlement
    /// Compare every block, and checksums while nothing writes.
    public var verifies: Bool
    public var bandwidth: ByteCount?
    /// The volume group for the target's volumes; by default the source's own.
    public var targetGroup: VolumeGroupName?
    public var removesSource: Bool
    /// How the bulk of the volumes gets to the target.
    public var seed = SeedChoice.Wish.auto

    public init(
        domain: DomainName, target: HostName, method: MigrationPlan.Method? = nil,
        settlement: MigrationPlan.Settlement = .late, verifies: Bool = false, bandwidth: ByteCount? = nil,
        targetGroup: VolumeGroupName?, removesSource: Bool = false
    ) {
        self.domain = domain
        self.target = target
        self.method = method
        self.settlement = settlement
        self.verifies = verifies
        self.bandwidth = bandwidth
        self.targetGroup = targetGroup
        self.removesSource = removesSource
    }
}

/// Prepares a migration: looks at both hosts, judges, and takes it into the journal.
public struct MigrationStarter: Sendable {
    let worker: HostWorker
    private var host: HostContext { worker.host }

    public init(worker: HostWorker) { self.worker = worker }

    /// What a look at both hosts gave.
    public struct Prospect: Sendable {
        public var findings: [Finding]
        public var spec: MigrationSpec?
        /// Nil where it was not looked at how.
        public var choice: MethodChoice?

        public var isBlocked: Bool { findings.contains { $0.severity == .blocking } }

        /// The blocking findings as one refusal.
        public func refusal(_ domain: DomainName) -> Failure {
            let blocking = findings.filter { $0.severity == .blocking }
            return Failure(
                .refused, "cannot migrate \(domain)", why: "\(blocking.count) finding(s) speak against it",
                causes: blocking.map { Failure(.refused, $0.what, host: $0.host, why: $0.why, remedy: $0.remedy) })
        }
    }

    /// Looks at both hosts; nothing is changed. Throws where the domain or the target cannot be asked at all.
    public func prospect(_ request: MigrationRequest) async throws -> Prospect {
        do { return try await look(request) } catch var failure as Failure where failure.code == .outcomeUnknown {
            // Nothing has begun whose outcome could be unknown.
            failure.code = .unreachable
            throw failure
        }
    }

    private func look(_ request: MigrationRequest) async throws -> Prospect {
        // First of all: while it is frozen the domain is not even there to be looked at.
        try host.database.requireNoOpenMigration(of: request.domain)
        try requireNoneStopped(request.domain)
        let description = try await describe(request.domain)
        let disks = DiskCheck.assign(description)
        var findings = disks.findings.map {
            Finding(.blocking, host.name, $0.what, why: $0.why, remedy: $0.remedy)
        }
        if disks.volumes.isEmpty, disks.findings.isEmpty {
            findings.append(Finding(.blocking, host.name, "the domain \(request.domain) has no disk on a volume"))
        }
        let names = disks.volumes.map(\.volume)
        let remote = RemoteHost(request.target, from: host, version: worker.version)
        defer { remote.close() }
        let hello = try await remote.hello()
        if disks.findings.isEmpty, !names.isEmpty {
            switch try await SharedStorage.look(request.domain, names, worker, remote) {
            case .apart: break
            case .shared: return try await sharedProspect(request, description, disks.volumes, remote)
            case .broken(let name, let why, let remedy):
                let finding = Finding(
                    .blocking, name, "the disks of \(request.domain) are meant to be shared with \(request.target)",
                    why: why, remedy: remedy)
                return Prospect(findings: [finding], spec: nil, choice: nil)
            }
        }
        let query = SurveyQuery(domain: request.domain, volumes: names)
        async let there = remote.survey(query)
        let here = try await worker.survey(query)
        let target = try await there
        let places = try targetPlaces(names, here, request)
        let choice = MethodChoice(
            request.method, settling: request.settlement,
            switches: try await objectionsToSwitches(description, disks.volumes, target, places, for: request),
            live: Self.objectionsToLive(description.type, source: here))
        let seeding = try await seedChoice(request, names, here, target)
        let plan = MigrationPlan(
            method: choice.method, settlement: choice.method == .threeFreeze ? request.settlement : .late,
            comparesCopies: request.verifies && choice.method != .live, seeds: seeding.seeds)
        let subject = Preflight.Subject(
            description: description, volumes: names, targetPlaces: places, plan: plan)
        findings += Preflight(source: here, target: target, subject: subject).findings()
        findings += choice.findings(request.domain, host.name)
        if choice.method == .cold, target.methods?.contains(choice.method.rawValue) != true {
            findings.append(
                Finding(
                    .blocking, target.host, "xenlvs \(target.version) does not know cold migrations",
                    remedy: "install the same version of xenlvs on both hosts"))
        }
        findings += seeding.findings(request.domain.text, host.name)
        findings += try await removalFindings(request, names)
        guard !findings.contains(where: { $0.severity == .blocking }) else {
            return Prospect(findings: findings, spec: nil, choice: choice)
        }
        let spec = try specification(
            request, plan, description, disks.volumes, (here, target), places, hello)
        return Prospect(findings: findings, spec: spec, choice: choice)
    }

    /// Takes the migration into this host's journal, while the domain is held (`hold`) since before the look at it. Throws
    /// `.busy` where the domain has one already, `.usage` for one that neither this host nor the target would read back.
    public func begin(_ spec: MigrationSpec) throws {
        let text = try JSONText.encode(spec)
        _ = try JSONText.decode(MigrationSpec.self, from: text, what: "the migration \(spec.id)")
        let now = HostContext.now()
        try host.images.prepare()
        try host.database.insert(
            MigrationRecord(
                id: spec.id.text, domain: spec.domain.text, role: .source, epoch: 0,
                spec: text, machine: try JSONText.encode(MigrationMachine(plan: spec.plan)),
                decided: false, isOpen: true, created: now, updated: now),
            minors: spec.volumes.map(\.sourceMinor), ports: spec.volumes.map(\.port)
        ) { volumes in
            // In the same transaction: a swap that begins now finds the migration, or is found here.
            do { try Self.requireNoSwap(of: spec.volumes.map(\.name), in: volumes, spec.domain) } catch {
                throw Failure(error, doing: "cannot migrate \(spec.domain)").on(host.name.text)
            }
        }
    }

    /// Throws `.busy` where a swap has a volume: on a replica, as DRBD knows one for a volume, or on its way to another place.
    static func requireNoSwap(of names: [VolumeName], in volumes: [VolumeRecord], _ domain: DomainName) throws {
        for record in volumes where names.contains(record.name) {
            let why: String
            let volume = try record.volume()
            if volume.adoption != nil, let objection = volume.objection {
                throw Failure(.busy, "cannot migrate \(domain)", why: "\(record.name) \(objection)")
            }
            switch volume.switchGoal {
            case .replica: why = "the switch of \(record.name) leads to a replica"
            case .move(let move): why = "a swap of \(record.name) to \(move.place) is not finished"
            case .volume, nil: continue
            }
            throw Failure(
                .busy, "cannot migrate \(domain)", why: why,
                remedy: "go back first: xenlvs swap \(domain) --to volume")
        }
    }

    /// The running domain. Throws `.notFound` or `.refused`.
    public func describe(_ name: DomainName) async throws -> DomainDescription {
        let listing = try await host.runner.domains()
        guard let entry = listing.domain(named: name), let id = entry.id else {
            throw Failure(
                .notFound, "there is no running domain '\(name)'", host: host.name.text, remedy: "see 'xl list'")
        }
        guard entry.state == .active else {
            throw Failure(
                .refused, "the domain \(name) is \(entry.state.rawValue)", host: host.name.text,
                remedy: "only a running domain can be migrated; see 'xl list'")
        }
        let output = try await host.runner.run(XLCommands.describe(id)).output
        guard let description = try DomainDescription.parse(listing: output).first else {
            throw Failure(.failed, "Xen does not tell the configuration of \(name)", host: host.name.text)
        }
        return description
    }

    private func targetPlaces(
        _ names: [VolumeName], _ here: HostSurvey, _ request: MigrationRequest
    ) throws -> [VolumePlace] {
        try names.map { name in
            let place = here.volumes.first { $0.name == name }?.record?.place
            switch (place, request.targetGroup) {
            case (_, .some(let group)): return .logicalVolume(group: group, name: LogicalVolumeName(of: name))
            case (.some(let place), nil): return place
            case (nil, nil):
                let group = try VolumeGroupName(host.configuration.volumeGroup)
                return .logicalVolume(group: group, name: LogicalVolumeName(of: name))
            }
        }
    }

    private func specification(
        _ request: MigrationRequest, _ plan: MigrationPlan, _ description: DomainDescription,
        _ disks: [(device: String, volume: VolumeName)], _ surveys: (here: HostSurvey, there: HostSurvey),
        _ places: [VolumePlace], _ hello: HelloReply
    ) throws -> MigrationSpec {
        let ranges = NumberRanges(minors: host.configuration.minors, ports: host.configuration.ports)
        // Neither of two hosts that migrate to each other at the same moment knows what the other one chooses.
        let numbers = try ranges.allocate(
            disks.count, source: surveys.here.numbers, target: surveys.there.numbers,
            from: surveys.here.host.text < surveys.there.host.text ? .lowest : .highest)
        let volumes = try disks.indices.map { index in
            let facts = surveys.here.volumes.first { $0.name == disks[index].volume }
            guard let size = facts?.size, let place = facts?.record?.place else {
                throw Failure(.inconsistent, "the volume \(disks[index].volume) has no size or place")
            }
            return VolumeSpec(
                name: disks[index].volume, device: disks[index].device, size: size, sourcePlace: place,
                targetPlace: places[index], sourceMinor: numbers[index].sourceMinor,
                targetMinor: numbers[index].targetMinor, port: numbers[index].port)
        }
        var spec = try specification(request, plan, description, volumes: volumes)
        spec.verifies = request.verifies
        spec.bandwidth = request.bandwidth ?? host.configuration.bandwidth
        spec.removesSource = removesSource(request)
        return spec
    }

    /// With what both hosts and the domain tell, and nothing of how disks are copied.
    func specification(
        _ request: MigrationRequest, _ plan: MigrationPlan, _ description: DomainDescription,
        volumes: [VolumeSpec] = [], sharedDisks: [DiskSpec] = []
    ) throws -> MigrationSpec {
        guard let uuid = description.uuid else {
            throw Failure(.failed, "Xen does not tell the UUID of \(request.domain)", host: host.name.text)
        }
        let addresses = try HostAddresses.between(request.target, local: host.configuration.replicationAddress)
        return MigrationSpec(
            id: MigrationID(domain: request.domain, day: Self.day(), random: .random(in: 0...UInt16.max)),
            domain: request.domain, uuid: uuid, memory: max(description.maximumMemory, description.targetMemory),
            source: Endpoint(name: host.name, address: addresses.local),
            target: Endpoint(name: request.target, address: addresses.remote), volumes: volumes,
            sharedDisks: sharedDisks, plan: plan, verifies: false, bandwidth: nil, removesSource: false)
    }

    /// `20261121`, by UTC.
    private static func day() -> String {
        var now = time(nil)
        var calendar = tm()
        gmtime_r(&now, &calendar)
        return String(
            (Int(calendar.tm_year) + 1900) * 10_000 + (Int(calendar.tm_mon) + 1) * 100 + Int(calendar.tm_mday))
    }
}
