import Domains
import HostModel
import Migration
import Storage

extension MigrationStarter {
    /// What speaks against swapping the domain's disks by switches, on either host. Changes nothing.
    func objectionsToSwitches(
        _ description: DomainDescription, _ disks: [(device: String, volume: VolumeName)], _ target: HostSurvey,
        _ places: [VolumePlace], for request: MigrationRequest
    ) async throws -> [MethodChoice.Objection] {
        var objections: [MethodChoice.Objection] = []
        let needed = request.method ?? .live
        if target.methods?.contains(needed.rawValue) != true {
            objections.append(
                MethodChoice.Objection(
                    host: target.host, why: "xenlvs \(target.version) on \(target.host) does not know that method",
                    remedy: "install the same version of xenlvs on both hosts"))
        }
        for (disk, place) in zip(disks, places) {
            if let objection = try await objection(description, disk) { objections.append(objection) }
            guard place.logicalVolume == nil else { continue }
            objections.append(
                MethodChoice.Objection(
                    host: target.host, why: "on \(target.host) \(disk.volume) would be a file, which has no switch",
                    remedy: "give a volume group there with --target-vg"))
        }
        return objections
    }

    private func objection(
        _ description: DomainDescription, _ disk: (device: String, volume: VolumeName)
    ) async throws -> MethodChoice.Objection? {
        let host = worker.host
        func because(_ why: String, _ remedy: String?) -> MethodChoice.Objection {
            MethodChoice.Objection(host: host.name, why: why, remedy: remedy)
        }
        let name = description.name
        guard let volume = try host.recordedVolume(disk.volume) else {
            return because("\(disk.volume) is not recorded", "see 'xenlvs link show \(disk.volume)'")
        }
        guard volume.place.logicalVolume != nil else {
            return because("\(disk.volume) is a file, which has no switch", "keep it in a volume group")
        }
        guard volume.switchGoal != nil else {
            return because("\(disk.volume) has no switch", "'xenlvs domain prepare \(name)', then start \(name) anew")
        }
        let facts = try await host.switches.facts(volume)
        guard facts.verdict == .right else {
            return because(
                "the switch of \(disk.volume) is \(facts.verdict.rawValue)"
                    + (facts.why.map { ": \($0)" } ?? ""), facts.remedy)
        }
        guard let id = description.id,
            try await worker.deviceHeld(by: id, disk.device) == (try BlockDevice(at: facts.path).number)
        else {
            return because(
                "\(name) has the LV of \(disk.volume) itself open, from before the switch was made",
                "start \(name) anew")
        }
        return nil
    }
}
