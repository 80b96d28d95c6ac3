import DeviceMapper
import HostModel
import Hosts
import Migration
import Storage

extension Housekeeping {
    /// Switches that are not as they have to be, and devices of ours that belong to no volume.
    func switchFindings() async throws -> [Finding] {
        let recorded = try host.recordedVolumes()
        let volumes = recorded.filter { $0.switchGoal != nil }
        var findings = recorded.filter { $0.adoption != nil }.map { volume in
            Finding(
                .warning, host.name, "the guest of \(volume.name) is being given a switch",
                why: "the run that did so has not ended", remedy: "run 'xenlvs link repair \(volume.name)'")
        }
        guard !volumes.isEmpty else { return findings }
        for volume in volumes {
            let facts = try await host.switches.facts(volume)
            guard facts.verdict != .right, facts.verdict != .migration else { continue }
            findings.append(
                Finding(
                    facts.verdict.isHarmless ? .warning : .blocking, host.name,
                    "the switch of \(volume.name) is \(facts.verdict.rawValue)", why: facts.why, remedy: facts.remedy))
        }
        let use = try await host.currentUse(asksLVM: false)
        let known = volumes.flatMap { use.devices(of: $0) }
        findings += use.mapped.all.filter { !known.contains($0) }.map { device in
            Finding(
                .warning, host.name, "the device \(device.path) belongs to no volume",
                why: "it keeps what lies below it from being changed",
                remedy: "if nothing uses it, remove it: dmsetup remove \(device.name)")
        }
        if findings.isEmpty {
            findings = [Finding(.fine, host.name, "every switch leads where it has to (\(volumes.count))")]
        }
        return findings + (try await scanFindings())
    }

    /// An LVM command that opens a switch hangs where that is suspended, and finds a guest's own volume group.
    private func scanFindings() async throws -> [Finding] {
        guard
            try await LVMReach.read(host).looks(into: [MappedIdentity.switchPath(of: VolumeName(unchecked: "x"))])
        else { return [] }
        return [
            Finding(
                .warning, host.name, "LVM scans switches",
                why: "it would find volume groups inside of guests",
                remedy: LVMDeviceFilter.switchRemedy)
        ]
    }
}

extension SwitchVerdict {
    /// Whether a guest that runs on it notices nothing.
    fileprivate var isHarmless: Bool {
        switch self {
        case .right, .migration, .wrongSize, .stillOnVolume, .stillOnReplica, .copying, .stillCopying, .onTarget: true
        case .closed, .missing, .unfinished, .suspended, .copyFailed, .elsewhere, .foreign: false
        }
    }
}
