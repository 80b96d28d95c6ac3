import DeviceMapper
import Domains
import HostModel
import Hosts
import Migration
import Replication
import Storage

/// Finds out what a migration would change. Changes nothing.
public struct MigrationPlanner: Sendable {
    private let worker: HostWorker
    private var host: HostContext { worker.host }

    public init(worker: HostWorker) { self.worker = worker }

    /// - Parameters: what `MigrationStarter.prospect` has given for the request.
    /// - Throws: where one of the hosts cannot be asked, or a volume group has no room.
    public func outline(_ spec: MigrationSpec, _ choice: MethodChoice) async throws -> MigrationOutline {
        let query = SurveyQuery(domain: spec.domain, volumes: spec.volumes.map(\.name))
        let remote = RemoteHost(spec.target.name, from: host, version: worker.version)
        defer { remote.close() }
        let hello = try await remote.hello()
        let (here, there) = (try await worker.survey(query), try await remote.survey(query))
        guard let domain = try await MigrationStarter(worker: worker).describe(spec.domain).id else {
            throw Failure(.failed, "Xen does not tell the number of \(spec.domain)", host: host.name.text)
        }
        var source = try Self.host(spec.source.name, here, host.paths.images, try MachineIdentity.read())
        for volume in spec.volumes {
            if let known = try worker.switched(volume, .source) {
                source.switches[volume.name] = OutlineHost.SwitchDevices(
                    path: try host.switches.identity(known).path, lower: try host.switches.lowerIdentity(known).path)
            }
            guard case .file = volume.sourcePlace else { continue }
            source.loops[volume.name] = try await worker.store.presentDevice(volume.name, .data, at: volume.sourcePlace)
        }
        var target = try Self.host(spec.target.name, there, Paths().images, hello.machine)
        if spec.plan.usesSwitches {
            // Named by their volumes: the UUIDs of the LVs, which are yet to be made, are not needed for that.
            for volume in spec.volumes {
                target.switches[volume.name] = OutlineHost.SwitchDevices(
                    path: MappedIdentity.switchPath(of: volume.name), lower: MappedIdentity.lowerPath(of: volume.name))
            }
        }
        return try OutlineBuilder(
            OutlineFacts(
                spec: try Self.withSymbolicIdentifier(spec), domain: domain,
                boot: String(try MachineIdentity.read().prefix(8)), source: source, target: target,
                reused: Self.reused(spec, there), methodReason: choice.reason,
                freezes: FreezeForecast.all(spec, past: try MigrationReports(host: host).all()))
        ).outline()
    }

    private static func host(
        _ name: HostName, _ survey: HostSurvey, _ images: String, _ boot: String
    ) throws -> OutlineHost {
        OutlineHost(
            name: name, images: images, boot: String(boot.prefix(8)),
            dialect: try survey.drbd.version.map { try DRBDDialect(moduleVersion: $0) }, groups: survey.groups,
            configuration: survey.configuration)
    }

    /// The copies on the target that the steps will find there: `prospect` has seen that they are ours.
    private static func reused(_ spec: MigrationSpec, _ survey: HostSurvey) -> Set<VolumeName> {
        Set(
            spec.volumes.filter { volume in
                let facts = survey.volumes.first { $0.name == volume.name }
                return volume.targetPlace.logicalVolume.map { facts?.groups.contains($0.group) == true }
                    ?? (facts?.record != nil)
            }.map(\.name))
    }

    /// The run itself draws other digits.
    private static func withSymbolicIdentifier(_ spec: MigrationSpec) throws -> MigrationSpec {
        var symbolic = spec
        symbolic.id = try MigrationID(String(spec.id.text.dropLast(4)) + OutlineWord.identifier)
        return symbolic
    }
}
