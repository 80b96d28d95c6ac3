import HostModel
import Migration
import Reporting
import Storage

/// Histories of migrations as the coordinator writes them, for the tests of every renderer. The lengths are those of
/// the lab: a guest of 96 MiB under emulation.
enum Histories {
    /// 2026-11-21 09:14:05 UTC.
    static let beginning: Int64 = 1_795_252_445_000

    static func spec(
        _ settlement: MigrationPlan.Settlement = .late, volumes: [(name: String, mebibytes: Int64)] = [("web1", 256)],
        domain: String = "web1", compares: Bool = true
    ) throws -> MigrationSpec {
        MigrationSpec(
            id: try MigrationID("web1-20261121-3f9a"), domain: DomainName(unchecked: domain),
            uuid: "6f1c0a52-7b1e-4f0e-9d39-0f4f6f6f2a11", memory: .mebibytes(96),
            source: Endpoint(name: HostName(unchecked: "nodea"), address: "10.9.0.1"),
            target: Endpoint(name: HostName(unchecked: "nodeb"), address: "10.9.0.2"),
            volumes: try volumes.enumerated().map { index, volume in
                let place = VolumePlace.logicalVolume(
                    group: VolumeGroupName(unchecked: "vg0"), name: try LogicalVolumeName(volume.name))
                return VolumeSpec(
                    name: VolumeName(unchecked: volume.name), device: ["xvda", "xvdb"][index],
                    size: .mebibytes(volume.mebibytes), sourcePlace: place, targetPlace: place, sourceMinor: index,
                    targetMinor: index, port: 7_788 + index)
            },
            plan: MigrationPlan(settlement: settlement, comparesCopies: compares), verifies: compares, bandwidth: nil,
            removesSource: false)
    }

    /// Writes events one after the other, each with the time it took.
    struct Writer {
        var events: [MigrationEvent] = []
        var time = Histories.beginning

        mutating func add(_ kind: MigrationEvent.Kind, after milliseconds: Int64 = 0) {
            time += milliseconds
            events.append(MigrationEvent(sequence: events.count + 1, time: time, kind: kind))
        }

        /// Steps that succeed, sharing `milliseconds` evenly.
        mutating func steps(_ steps: [Step], _ milliseconds: Int64) {
            for step in steps {
                add(.stepBegan(step))
                add(.stepEnded(step), after: milliseconds / Int64(steps.count))
            }
        }

        mutating func freeze(_ freeze: Freeze, _ body: (inout Writer) -> Void) {
            add(.freezeBegan(freeze))
            body(&self)
            add(.freezeEnded(freeze))
        }

        mutating func prepare() {
            add(.runBegan(epoch: 1, resumed: false))
            steps([.reserveTarget, .makeTargetVolumes, .makeTargetReplica, .makeSourceReplica], 3_200)
        }

        mutating func substitute() {
            add(.stepBegan(.saveForReplica), after: 40)
            freeze(.substitution) { writer in
                writer.add(.stepEnded(.saveForReplica), after: 2_000)
                writer.steps([.promoteSource, .linkSourceToReplica, .restoreOnReplica, .continueOnReplica], 3_100)
            }
        }

        mutating func synchronise(_ volumes: [(name: String, mebibytes: Int64, milliseconds: Int64)]) {
            steps([.connectTarget, .connectSource], 1_400)
            add(.stepBegan(.synchronise))
            var waited: Int64 = 0
            for volume in volumes {
                add(
                    .synchronised(
                        volume: VolumeName(unchecked: volume.name), copied: .mebibytes(volume.mebibytes),
                        milliseconds: volume.milliseconds), after: volume.milliseconds - waited)
                waited = volume.milliseconds
            }
            add(.stepEnded(.synchronise), after: 300)
            add(.stepBegan(.verifyCopies))
            for volume in volumes {
                add(
                    .verified(
                        volume: VolumeName(unchecked: volume.name), compared: .mebibytes(volume.mebibytes),
                        differing: ByteCount(0)), after: 4_000)
            }
            add(.stepEnded(.verifyCopies))
        }

        mutating func handOver(_ volumes: [String], settlement: MigrationPlan.Settlement = .late) {
            steps([settlement == .late ? .linkTargetToReplica : .linkTargetToVolumeEarly], 240)
            add(.stepBegan(.transferImage))
            freeze(.handOver) { writer in
                writer.add(
                    .imageSent(
                        size: ByteCount(105_906_176), sent: ByteCount(17_301_504), ahead: nil, milliseconds: 2_380),
                    after: 2_400)
                writer.add(.stepEnded(.transferImage))
                writer.steps([.demoteSource], 200)
                writer.add(.stepBegan(.compareCopies))
                let sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                for volume in volumes {
                    writer.add(.compared(volume: VolumeName(unchecked: volume), source: sum, target: sum))
                }
                writer.add(.stepEnded(.compareCopies), after: 500)
                let open: Step = settlement == .late ? .promoteTarget : .releaseTargetVolume
                let rest: [Step] = [open, .finishRestore, .decide, .acknowledgeDecision, .startOnTarget]
                writer.steps(rest, settlement == .late ? 1_100 : 2_300)
            }
        }

        mutating func settle() {
            freeze(.settlement) { writer in
                writer.steps(
                    [.saveForVolume, .takeDownTargetReplica, .linkTargetToVolume, .restoreOnVolume, .continueOnVolume],
                    5_300)
            }
        }

        mutating func tidyUp() {
            steps([.cleanSource, .cleanTarget, .closeTarget], 2_400)
            add(.accounted(total: time - Histories.beginning, own: 1_260))
            add(.finished(.migrated))
        }
    }

    static func late() throws -> MigrationReport {
        var writer = Writer()
        writer.prepare()
        writer.substitute()
        writer.synchronise([("web1", 256, 30_200)])
        writer.handOver(["web1"])
        writer.settle()
        writer.tidyUp()
        return MigrationReport(spec: try spec(), events: writer.events)
    }

    static func early() throws -> MigrationReport {
        var writer = Writer()
        writer.prepare()
        writer.substitute()
        writer.synchronise([("web1-swap", 64, 3_100), ("web1-root", 1_024, 28_400)])
        writer.handOver(["web1-root", "web1-swap"], settlement: .early)
        writer.tidyUp()
        return MigrationReport(
            spec: try spec(.early, volumes: [("web1-root", 1_024), ("web1-swap", 64)]), events: writer.events)
    }

    static let restoreFailed = Failure(
        .failed, "cannot restore web1 from its image", host: "nodeb",
        why: "xl restore ended with exit code 3: libxl: error: failed to stat /dev/xenlvs/web1",
        remedy: "see /var/log/xen/xl-web1.log on nodeb")

    static func rolledBack() throws -> MigrationReport {
        var writer = Writer()
        writer.prepare()
        writer.substitute()
        writer.synchronise([("web1", 256, 30_200)])
        writer.steps([.linkTargetToReplica], 240)
        writer.add(.stepBegan(.transferImage))
        writer.freeze(.handOver) { writer in
            writer.add(.stepFailed(.transferImage, restoreFailed), after: 2_900)
            writer.steps([.discardOnTarget, .saveForRollback, .takeDownSourceReplica], 1_100)
            writer.steps([.linkSourceToVolume, .restoreOnSource, .continueOnSource], 3_300)
        }
        writer.steps([.cleanSourceAfterRollback, .cleanTargetAfterRollback, .closeTargetAfterRollback], 2_100)
        writer.add(.accounted(total: writer.time - beginning, own: 990))
        writer.add(.finished(.rolledBack(because: restoreFailed)))
        return MigrationReport(spec: try spec(), events: writer.events)
    }

    /// Hours of synchronising beside freezes of seconds.
    static func long() throws -> MigrationReport {
        var writer = Writer()
        writer.prepare()
        writer.substitute()
        writer.synchronise([("web1-root", 40_960, 1_130_000), ("web1-data", 409_600, 11_520_000)])
        writer.handOver(["web1-root", "web1-data"])
        writer.settle()
        writer.tidyUp()
        return MigrationReport(
            spec: try spec(volumes: [("web1-root", 40_960), ("web1-data", 409_600)]), events: writer.events)
    }

    static let connectionLost = Failure(
        .outcomeUnknown, "the connection to nodeb was lost", host: "nodeb", why: "ssh ended with exit code 255",
        remedy: "xenlvs migration resume web1-20261121-3f9a")

    /// Stopped while it synchronised, killed in the second freeze, finished by a third run.
    static func resumedEvents() -> [MigrationEvent] {
        var writer = Writer()
        writer.prepare()
        writer.substitute()
        writer.steps([.connectTarget, .connectSource], 1_400)
        writer.add(.stepBegan(.synchronise))
        writer.add(.stepFailed(.synchronise, connectionLost), after: 9_000)
        writer.add(.suspended(connectionLost, needsRecovery: false))
        writer.add(.runBegan(epoch: 2, resumed: true), after: 40_000)
        writer.synchronise([("web1", 200, 21_000)])
        writer.steps([.linkTargetToReplica], 240)
        writer.add(.stepBegan(.transferImage))
        writer.add(.freezeBegan(.handOver))
        writer.add(.note("the domain's image is being sent"), after: 1_200)
        writer.add(.runBegan(epoch: 3, resumed: true), after: 12_000)
        writer.handOver(["web1"])
        writer.settle()
        writer.tidyUp()
        return writer.events
    }

    static func resumed() throws -> MigrationReport { MigrationReport(spec: try spec(), events: resumedEvents()) }
}
