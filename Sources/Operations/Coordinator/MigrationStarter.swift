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
    public var plan: MigrationPlan
    public var verifies: Bool
    public var bandwidth: ByteCount?
    /// The volume group for the target's volumes; by default the source's own.
    public var targetGroup: VolumeGroupName?
    public var removesSource: Bool

    public init(
        domain: DomainName, target: HostName, plan: MigrationPlan, verifies: Bool, bandwidth: ByteCount?,
        targetGroup: VolumeGroupName?, removesSource: Bool
    ) {
        self.domain = domain
        self.target = target
        self.plan = plan
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
        let query = SurveyQuery(domain: request.domain, volumes: names)
        async let there = remote.survey(query)
        let here = try await worker.survey(query)
        let target = try await there
        let places = try targetPlaces(names, here, request)
        let subject = Preflight.Subject(description: description, volumes: names, targetPlaces: places)
        findings += Preflight(source: here, target: target, subject: subject).findings()
        guard !findings.contains(where: { $0.severity == .blocking }) else {
            return Prospect(findings: findings, spec: nil)
        }
        let spec = try specification(request, description, disks.volumes, (here, target), places, hello)
        return Prospect(findings: findings, spec: spec)
    }

    /// Takes the migration into this host's journal. Throws `.busy` where the domain has one already, `.usage` for one that
    /// neither this host nor the target would read back.
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

    /// Throws `.busy` where a switch leads to a replica that a swap has made: DRBD knows one for a volume.
    static func requireNoSwap(of names: [VolumeName], in volumes: [VolumeRecord], _ domain: DomainName) throws {
        for record in volumes where names.contains(record.name) {
            guard case .replica = try record.volume().switchGoal else { continue }
            throw Failure(
                .busy, "cannot migrate \(domain)", why: "the switch of \(record.name) leads to a replica",
                remedy: "go back first: xenlvs swap \(domain) --to volume")
        }
    }

    /// The running domain. Throws `.notFound` or `.refused`.
    public func describe(_ name: DomainName) async throws -> DomainDescription {
        let listing = try DomainListing(parsing: try await host.runner.run(XLCommands.list()).output)
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
        _ request: MigrationRequest, _ description: DomainDescription,
        _ disks: [(device: String, volume: VolumeName)], _ surveys: (here: HostSurvey, there: HostSurvey),
        _ places: [VolumePlace], _ hello: HelloReply
    ) throws -> MigrationSpec {
        guard let uuid = description.uuid else {
            throw Failure(.failed, "Xen does not tell the UUID of \(request.domain)", host: host.name.text)
        }
        let addresses = try HostAddresses.between(request.target, local: host.configuration.replicationAddress)
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
        return MigrationSpec(
            id: MigrationID(domain: request.domain, day: Self.day(), random: .random(in: 0...UInt16.max)),
            domain: request.domain, uuid: uuid, memory: max(description.maximumMemory, description.targetMemory),
            source: Endpoint(name: host.name, address: addresses.local),
            target: Endpoint(name: request.target, address: addresses.remote), volumes: volumes, plan: request.plan,
            verifies: request.verifies, bandwidth: request.bandwidth ?? host.configuration.bandwidth,
            removesSource: request.removesSource || host.configuration.removesSource)
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
