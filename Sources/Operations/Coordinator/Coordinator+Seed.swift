import HostModel
import Hosts
import Migration
import Replication
import Reporting
import Storage

extension Coordinator {
    /// Gives the target what the volumes hold, past DRBD. It may fail as it likes: DRBD copies all of a volume then.
    func seedCopies() async throws {
        for volume in spec.volumes {
            try interruption.check()
            let started = ContinuousClock.now
            var words: String
            do {
                let amount = try await seed(volume)
                words =
                    "\(volume.name): \(amount.held) of \(volume.size) were sent past DRBD, as \(amount.sent), in "
                    + "\(started.duration(to: .now).milliseconds) ms"
            } catch {
                let failure = Failure(error, doing: "cannot send what \(volume.name) holds")
                words = "\(volume.name): DRBD copies all of it: \(failure.what): \(failure.why ?? "")"
            }
            do { try await worker.removeSeed(volume, spec) } catch {
                words += "; \(Failure(error, doing: "cannot remove its snapshot"))"
            }
            try interruption.check()
            journal.note(.note(words))
            report(.note(words))
        }
    }

    private func seed(_ volume: VolumeSpec) async throws -> SeedSender.Amount {
        let seed = try await worker.makeSeed(volume, spec)
        let (report, interruption, started) = (self.report, self.interruption, ContinuousClock.now)
        return try await host.activity.during {
            try await SeedSender(spec: spec, epoch: epoch).send(volume, from: seed.path, generation: seed.generation) {
                position in
                try interruption.check()
                let seconds = max(started.duration(to: .now).milliseconds, 1)
                report(
                    .sync(
                        volume: volume.name, done: position, total: volume.size,
                        rate: ByteCount(position.bytes * 1000 / seconds), timeLeft: nil))
            }
        }
    }
}
