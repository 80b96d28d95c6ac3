import HostModel
import Hosts
import ImageStream
import Migration
import Synchronization

/// Sends what a volume's snapshot holds, compressed and without what is empty.
struct SeedSender: Sendable {
    let spec: MigrationSpec
    let epoch: Int64

    struct Amount: Sendable {
        /// Of the volume, what is not empty.
        var held: ByteCount
        /// What has gone over the wire of it.
        var sent: ByteCount
    }

    /// - Parameters:
    ///   - path: the snapshot's device.
    ///   - reached: is told how much of the volume was read; may throw to end it.
    func send(
        _ volume: VolumeSpec, from path: String, generation: UInt64,
        reached: @escaping @Sendable (ByteCount) throws -> Void
    ) async throws -> Amount {
        let channel = try await ImageChannel.open(
            spec: spec, epoch: epoch, .seed(volume.name, generation: generation))
        do {
            let amount = try await Blocking.run("seed") { [spec] in
                let compressor = try ZstandardCompressor()
                let pace = Pace(limit: spec.bandwidth)
                var (held, sent) = (Int64(0), Int64(0))
                var sign = ContinuousClock.now
                func pass(_ bytes: UnsafeRawBufferPointer) throws {
                    try channel.writeData(bytes)
                    sent += Int64(bytes.count)
                    sign = .now
                    pace.reached(sent)
                }
                try SparseStream.read(path, size: volume.size.bytes) { bytes in
                    held += Int64(bytes.count)
                    try compressor.compress(bytes, emit: pass)
                } reached: { position in
                    try reached(ByteCount(position))
                    // Nothing is sent of what is empty.
                    if sign.duration(to: .now) > .seconds(5) {
                        try channel.write(.keepAlive)
                        sign = .now
                    }
                }
                try compressor.finish(emit: pass)
                try channel.write(.end(size: held))
                return Amount(held: ByteCount(held), sent: ByteCount(sent))
            }
            try await waitUntilStored(channel, volume) { try reached(volume.size) }
            await channel.close(within: .seconds(10))
            return amount
        } catch {
            var failure = Failure(error, doing: "cannot send what \(volume.name) holds")
            // A target that ends first says why before it does.
            if failure.code == .unreachable {
                do { _ = try await channel.nextEvent(within: .seconds(5)) } catch let told as Failure { failure = told }
            }
            channel.kill()
            throw failure
        }
    }

    /// Waits until the target has all of it. Where nothing came it writes zeros first, as far as its storage cannot do
    /// without, and stops where it does not hear of this host. As slow as that is DRBD would be, too.
    private func waitUntilStored(
        _ channel: ImageChannel, _ volume: VolumeSpec, _ check: () throws -> Void
    ) async throws {
        let limit = Duration.seconds(300 + volume.size.bytes / (10 << 20))
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            if let event = try await channel.event(within: .seconds(5)) {
                guard event == .stored else { throw channel.outOfTurn() }
                return
            }
            try check()
            try channel.write(.keepAlive)
        }
        throw Failure(
            .outcomeUnknown, "the target does not store what \(volume.name) holds", host: channel.host.text,
            why: "it was not done within \(limit)", remedy: "see why its storage is so slow ('iostat -x' there)")
    }
}
