import Glibc
import HostModel
import ImageStream

/// The source of a seed, once it has sent all of it and waits until that is stored: it says only that it is alive.
struct SeedSource {
    private let input: BoundedIO
    /// The source sends a sign of life every few seconds.
    private let silence: Duration
    private var heard = ContinuousClock.now

    init(_ input: BoundedIO, silence: Duration = .seconds(30)) {
        self.input = input
        self.silence = silence
    }

    /// Throws where the source is gone, has given up, or is silent. Does not wait for it.
    mutating func check() throws {
        var request = pollfd(fd: input.descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&request, 1, 0) > 0 else {
            guard heard.duration(to: .now) <= silence else {
                throw Failure(.unreachable, "\(input.purpose) is silent", why: "nothing moved for \(silence)")
            }
            return
        }
        // Whatever it had to say before: nobody waits for this copy any more.
        guard request.revents & Int16(POLLHUP | POLLERR) == 0, let frame = try Frame.read(from: input, limit: silence)
        else { throw Failure(.unreachable, "\(input.purpose) ended before everything was stored") }
        switch frame {
        case .keepAlive: heard = .now
        case .cancel: throw Failure(.interrupted, "the source gave it up")
        case .begin, .data, .end, .release: throw Failure(.refused, "the channel goes on behind its end")
        }
    }
}
