import HostModel
import Hosts
import Migration
import Reporting

/// The guest's memory goes ahead of the freeze that hands it over, while the guest runs.
extension Coordinator {
    /// Begins to send what the guest's memory was in the first freeze, where there was one.
    func beginSendingBase() {
        guard baseSender == nil, host.images.exists(spec.id, .base) else { return }
        start(BaseSender(spec: spec, epoch: epoch, images: host.images))
    }

    /// Without a freeze before, the memory is read from the running guest: once the disks are in step, so that little of it changes
    /// until the hand-over. Where it cannot be, all of it is sent in the freeze.
    func sendMemoryAhead() async throws {
        beginSendingBase()
        if baseSender == nil {
            report(.note("reading \(spec.domain)'s memory while it runs, and sending it ahead"))
            let (worker, spec) = (self.worker, self.spec)
            start(BaseSender(spec: spec, epoch: epoch, images: host.images) { try await worker.dumpMemory(spec) })
        }
        try await waitForBase()
    }

    /// Returns when the target has it, or will not have it.
    func waitForBase() async throws {
        while let baseSender, baseSender.isUnderWay {
            try interruption.check()
            try await host.activity.during { try await Task.sleep(for: .milliseconds(100)) }
        }
    }

    private func start(_ sender: BaseSender) {
        sender.start()
        baseSender = sender
    }
}
