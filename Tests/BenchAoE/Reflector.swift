import CLinux
import Glibc

/// Answers each AoE frame at once, a read with bytes of no disk: what a target can reach at best with one system call for
/// many frames each way.
final class Reflector {
    private static let batch = 64
    private static let frameSize = 9216
    private let descriptor: Int32
    private let frames: UnsafeMutableRawPointer
    private let messages: UnsafeMutablePointer<xenlvs_message>
    private let vectors: UnsafeMutablePointer<iovec>

    /// The memory is kept as long as the process lives: `run` does not return.
    init(interface: String) throws {
        descriptor = try PacketSocket.open(interface)
        frames = .allocate(byteCount: Self.batch * Self.frameSize, alignment: 64)
        frames.initializeMemory(as: UInt8.self, repeating: 0, count: Self.batch * Self.frameSize)
        messages = .allocate(capacity: Self.batch)
        messages.initialize(repeating: xenlvs_message(), count: Self.batch)
        vectors = .allocate(capacity: Self.batch)
        for index in 0..<Self.batch {
            messages[index].header.msg_iov = vectors + index
            messages[index].header.msg_iovlen = 1
        }
    }

    func run() throws -> Never {
        while true {
            for index in 0..<Self.batch {
                vectors[index] = iovec(iov_base: frames + index * Self.frameSize, iov_len: Self.frameSize)
            }
            let count = xenlvs_recvmmsg(descriptor, messages, UInt32(Self.batch), Int32(MSG_WAITFORONE), nil)
            guard count > 0 else { continue }
            var answers = 0
            for index in 0..<Int(count) where answer(index, vectors + answers) { answers += 1 }
            var sent = 0
            while sent < answers {
                let part = xenlvs_sendmmsg(descriptor, messages + sent, UInt32(answers - sent), 0)
                if part < 0, errno == ENOBUFS || errno == EAGAIN || errno == EINTR { continue }
                guard part > 0 else { throw BenchFailure(String(cString: strerror(errno))) }
                sent += Int(part)
            }
        }
    }

    /// Turns a request into its answer, in its place.
    private func answer(_ index: Int, _ vector: UnsafeMutablePointer<iovec>) -> Bool {
        let frame = frames + index * Self.frameSize
        let flags = frame.load(fromByteOffset: 14, as: UInt8.self)
        guard messages[index].sent >= 36, flags & 8 == 0 else { return false }
        let own = frame.loadUnaligned(as: UInt64.self)
        memmove(frame, frame + 6, 6)
        withUnsafeBytes(of: own) { (frame + 6).copyMemory(from: $0.baseAddress!, byteCount: 6) }
        frame.storeBytes(of: flags | 8, toByteOffset: 14, as: UInt8.self)
        var length = 60
        if frame.load(fromByteOffset: 19, as: UInt8.self) == 0 {
            let isWrite = frame.load(fromByteOffset: 24, as: UInt8.self) & 1 != 0
            if !isWrite { length = 36 + 512 * Int(frame.load(fromByteOffset: 26, as: UInt8.self)) }
            // DRDY, as a disk that is well says it.
            frame.storeBytes(of: 0x40, toByteOffset: 27, as: UInt8.self)
        }
        vector.pointee = iovec(iov_base: frame, iov_len: min(length, Self.frameSize))
        return true
    }
}
