import Domains
import HostModel
import Hosts
import Migration
import Storage

/// Migrations of guests whose disks the target has already: nothing is copied.
extension MigrationStarter {
    func sharedProspect(
        _ request: MigrationRequest, _ description: DomainDescription,
        _ disks: [(device: String, volume: VolumeName)], _ remote: RemoteHost
    ) async throws -> Prospect {
        let query = SurveyQuery(domain: request.domain, volumes: disks.map(\.volume))
        async let there = remote.survey(query)
        let here = try await worker.survey(query)
        let target = try await there
        let choice = MethodChoice(
            shared: request.method, live: Self.objectionsToLive(description.type, source: here))
        var findings = meaningless(request) + choice.findings(request.domain, worker.host.name)
        if target.methods?.contains(MigrationPlan.Method.live.rawValue) != true {
            findings.append(
                Finding(
                    .blocking, target.host, "xenlvs \(target.version) cannot take a guest in whose disks are shared",
                    remedy: "install the same version of xenlvs on both hosts"))
        }
        guard !findings.contains(where: { $0.severity == .blocking }) else {
            return Prospect(findings: findings, spec: nil, choice: choice)
        }
        let plan = MigrationPlan(
            method: choice.method, storage: .shared, settlement: .late, comparesCopies: false)
        let subject = Preflight.Subject(description: description, volumes: [], targetPlaces: [], plan: plan)
        findings += Preflight(source: here, target: target, subject: subject).findings()
        guard !findings.contains(where: { $0.severity == .blocking }) else {
            return Prospect(findings: findings, spec: nil, choice: choice)
        }
        let shared = try disks.map { disk in
            guard let size = here.volumes.first(where: { $0.name == disk.volume })?.size else {
                throw Failure(.inconsistent, "the disk \(disk.volume) has no size", host: worker.host.name.text)
            }
            return DiskSpec(name: disk.volume, device: disk.device, size: size)
        }
        let spec = try specification(request, plan, description, sharedDisks: shared)
        return Prospect(findings: findings, spec: spec, choice: choice)
    }

    /// What is asked for and has no meaning where nothing is copied.
    private func meaningless(_ request: MigrationRequest) -> [Finding] {
        var options: [String] = []
        if request.targetGroup != nil { options.append("--target-vg") }
        if request.verifies { options.append("--verify") }
        if request.settlement == .early { options.append("--settle early") }
        if request.removesSource { options.append("--remove-source") }
        return options.map { option in
            Finding(
                .blocking, worker.host.name, "\(option) has no meaning for \(request.domain)",
                why: "its disks are shared with \(request.target): nothing is copied", remedy: "leave it out")
        }
    }

    /// What Xen's own hand-over needs: the source has to see which pages the running guest changes, for which a PV guest needs
    /// shadow paging and any other hardware-assisted paging (`paging_log_dirty_enable`, xen/arch/x86/mm). What the target needs
    /// to have the guest at all is no matter of the method, see `Preflight`.
    static func objectionsToLive(_ type: DomainType, source: HostSurvey) -> [MethodChoice.Objection] {
        let (needed, guest) = type == .pv ? (["shadow"], "a PV guest") : (["hap", "shadow"], "a guest")
        guard let xen = source.xen, !needed.contains(where: xen.virtualization.contains) else { return [] }
        return [
            MethodChoice.Objection(
                host: source.host,
                why: "Xen on \(source.host) has no \(needed.joined(separator: " or ")) paging, without which \(guest) "
                    + "cannot be followed while it runs", remedy: nil)
        ]
    }
}
