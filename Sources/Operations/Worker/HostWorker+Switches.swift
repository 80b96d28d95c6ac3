import DeviceMapper
import Domains
import HostModel
import Migration
import Storage

/// The steps of a migration that lead switches elsewhere, below a running guest or where nobody uses them.
extension HostWorker {
    /// Source: the running guest writes through DRBD from here on.
    func leadToReplicas(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        try await requireGuestOnSwitches(spec, role)
        var result = StepResult()
        for volume in spec.volumes {
            let known = try requireSwitched(volume, role)
            try await SwapManager(worker: self).checkUsers(known)
            result.note(volume, try await lead(known, toReplica: volume.minor(role)))
        }
        try await checkSizes(spec, role)
        return result
    }

    /// Target: the running guest writes to its volumes from here on, and to nothing else.
    func leadToVolumes(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        try await requireGuestOnSwitches(spec, role)
        var result = StepResult()
        for volume in spec.volumes { result.note(volume, try await leadToVolume(volume, role)) }
        return result
    }

    /// Source, on the way back: whoever has the disks has the volumes from here on. A guest that runs is not stopped for it.
    func leadBack(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        var result = StepResult()
        if let lost = try await tellIfGone(spec) {
            result = lost
        } else if spec.plan.method == .live {
            result.foundSaved = try await away(spec) != nil
        } else if try await settled(spec) == .absent {
            _ = try newestImage(spec)
            result.foundSaved = true
        }
        for volume in spec.volumes where try switched(volume, role) != nil {
            result.note(volume, try await leadToVolume(volume, role))
        }
        return result
    }

    /// Source, on the way back. By switches the guest runs past its replicas already, and taking them down fails where something
    /// holds one open: until that is mended nothing of the peer's may get to the volumes.
    func takeDownForRollback(_ spec: MigrationSpec) async throws -> StepResult {
        if spec.plan.usesSwitches {
            for (volume, replica) in zip(spec.volumes, try await replicas(of: spec)) where replica.status != nil {
                // Where it cannot be done, taking it down says why.
                try? await disconnect(try await control(volume, spec, .source))
            }
        }
        return try await takeDownReplicas(spec, .source)
    }

    private func leadToVolume(_ volume: VolumeSpec, _ role: Role) async throws -> TableChange? {
        let known = try requireSwitched(volume, role)
        return try await effect {
            try await host.switches.bringUp(known)
            return try await host.switches.lead(known, to: try await host.switches.checkedDevice(known).number)
        }
    }

    /// The kernel refuses a table over a replica that is not Primary.
    func lead(_ known: Volume, toReplica minor: Int) async throws -> TableChange? {
        let number = try StandaloneReplica.device(minor, host: host.name.text).number
        return try await effect { try await host.switches.lead(known, to: number) }
    }

    /// Target: the links stand before the transfer. What they lead to refuses every request: a switch that led to the volume
    /// would let a write go past DRBD, and over a replica that is not Primary the kernel makes no table.
    func linkToClosedSwitches(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        for volume in spec.volumes {
            let known = try requireSwitched(volume, role)
            // Of a run that was cut off: the restored guest waits on it.
            if try await !host.switches.leadsToReplica(known) {
                _ = try await effect { try await host.switches.bringUpClosed(known) }
            }
            try host.setLink(volume.name, to: try host.switches.identity(known).path)
        }
        try await checkSizes(spec, role)
        return StepResult()
    }

    /// Source: the guest is saved. Whoever might still have its disk open cannot write any more, and DRBD can be let go.
    func closeSwitches(_ spec: MigrationSpec, _ role: Role) async throws {
        for volume in spec.volumes {
            let known = try requireSwitched(volume, role)
            try await effect { try await host.switches.close(known) }
        }
    }

    /// Source, live: the guest is suspended and has its disks open still. Requests under way are waited for, and nothing can be
    /// written any more.
    func closeBelowSuspended(_ spec: MigrationSpec, _ role: Role) async throws {
        for volume in spec.volumes {
            let known = try requireSwitched(volume, role)
            try await effect { try await host.switches.close(known, evenIfOpen: true) }
        }
    }

    /// Target: the replicas are Primary, and the guest that is being restored is about to open its disks.
    func openSwitches(_ spec: MigrationSpec, _ role: Role) async throws -> StepResult {
        guard spec.plan.usesSwitches else { return StepResult() }
        for volume in spec.volumes {
            _ = try await lead(try requireSwitched(volume, role), toReplica: volume.minor(role))
        }
        return StepResult()
    }

    /// Throws `.inconsistent` where a switch does not lead to its replica: what is written there would go past DRBD, or nowhere.
    func requireSwitchesOnReplicas(_ spec: MigrationSpec, _ role: Role) async throws {
        guard spec.plan.usesSwitches else { return }
        for volume in spec.volumes {
            let found = try await host.switches.find(try requireSwitched(volume, role))
            guard found?.table?.soleDevice == SwitchVerdict.replica(volume.minor(role)) else {
                throw Failure(
                    .inconsistent, "the switch of \(volume.name) does not lead to its replica", host: host.name.text,
                    why: "it leads to \(found?.table?.description ?? "nothing")",
                    remedy: "abort the migration, then begin it again")
            }
        }
    }

    /// Source: the guest writes to its replicas, or it is saved over them and the switches are closed. A way back that could
    /// not be recorded may have led it to its volumes while DRBD was still there, which knows nothing of what it wrote since.
    func switchesAreOffVolumes(_ spec: MigrationSpec) async throws -> Bool {
        guard spec.plan.usesSwitches else { return true }
        for volume in spec.volumes {
            let table = try await host.switches.find(try requireSwitched(volume, .source))?.table
            guard table?.isClosed == true || table?.soleDevice == SwitchVerdict.replica(volume.sourceMinor) else {
                return false
            }
        }
        return true
    }

    /// Throws `.refused` where a new volume cannot have a switch: it is a file, or a stranger has the switch's name.
    func requireSwitchCanBe(_ volume: Volume) async throws {
        let identity = try host.switches.identity(volume)
        try await host.switches.find(volume)?.require(identity)
    }

    func requireSwitched(_ volume: VolumeSpec, _ role: Role) throws -> Volume {
        if let known = try switched(volume, role) { return known }
        throw Failure(
            .inconsistent, "the volume \(volume.name) has no switch", host: host.name.text,
            why: "it had one, or was to get one, when the migration began",
            remedy: "see 'xenlvs volume show \(volume.name)'")
    }

    /// Throws where the guest does not run here, or has something else open than its switches.
    private func requireGuestOnSwitches(_ spec: MigrationSpec, _ role: Role) async throws {
        let remedy = "start the domain from its configuration with 'xl create'; its disks are as it left them"
        guard case .present(let id, .active) = try await settled(spec) else {
            throw Failure(
                .inconsistent, "the domain \(spec.domain) does not run on \(host.name)", host: host.name.text,
                remedy: remedy)
        }
        for volume in spec.volumes {
            let identity = try host.switches.identity(try requireSwitched(volume, role))
            let number = try BlockDevice(at: identity.path).number
            guard try await deviceHeld(by: id, volume.device) == number else {
                throw Failure(
                    .inconsistent, "\(volume.device) of \(spec.domain) is not its switch \(identity.path)",
                    host: host.name.text, why: "Xen's backend has opened another device",
                    remedy: "start the domain anew: it opens what its link leads to")
            }
        }
    }

    /// A change of a device-mapper device is an effect of the step that is being performed.
    func effect<Result>(_ body: () async throws -> Result) async throws -> Result {
        let place = host.effects.begin()
        let result = try await body()
        host.effects.pass(place, .after)
        return result
    }
}

extension StepResult {
    /// How long a disk stood still, for the report.
    fileprivate mutating func note(_ volume: VolumeSpec, _ change: TableChange?) {
        guard let change else { return }
        let stall = change.stall / .milliseconds(1)
        notes.append(
            "\(volume.name) was swapped below the running domain: its requests stood still for "
                + "\((stall * 10).rounded() / 10) ms at most")
    }
}
