import CZstd
import HostModel

/// Compresses a stream with zstd, level 1, with a checksum over the content at its end.
///
/// Level 1 because the stream stands between a guest and its users: a higher level costs a freeze more than it saves on any
/// link faster than a few MB/s.
public final class ZstandardCompressor {
    private let context: OpaquePointer
    private var output = [UInt8](repeating: 0, count: ZSTD_CStreamOutSize())

    public init() throws {
        guard let context = ZSTD_createCCtx() else { throw Failure(.failed, "zstd has no memory for a compressor") }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit { ZSTD_freeCCtx(context) }

    /// Takes `bytes` and hands what is ready to `emit`, in pieces.
    public func compress(_ bytes: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        try step(bytes, ZSTD_e_continue, emit)
    }

    /// Ends the stream.
    public func finish(emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        try step(UnsafeRawBufferPointer(start: nil, count: 0), ZSTD_e_end, emit)
    }

    private func step(
        _ bytes: UnsafeRawBufferPointer, _ mode: ZSTD_EndDirective, _ emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while true {
            let (remaining, produced) = output.withUnsafeMutableBytes { space in
                var buffer = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
                let result = ZSTD_compressStream2(context, &buffer, &input, mode)
                return (result, buffer.pos)
            }
            try check(remaining, "compress")
            if produced > 0 {
                try output.withUnsafeBytes { try emit(UnsafeRawBufferPointer(rebasing: $0[..<produced])) }
            }
            if mode == ZSTD_e_end ? remaining == 0 : input.pos == input.size { return }
        }
    }
}

/// Undoes `ZstandardCompressor`; a wrong checksum or garbage is a failure.
public final class ZstandardDecompressor {
    private let context: OpaquePointer
    private var output = [UInt8](repeating: 0, count: ZSTD_DStreamOutSize())
    /// The stream has come to its end, checksum included.
    public private(set) var isFinished = false

    public init() throws {
        guard let context = ZSTD_createDCtx() else { throw Failure(.failed, "zstd has no memory for a decompressor") }
        self.context = context
        // A window of at most 128 MiB: what a peer sends must not decide how much memory this host gives.
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27)
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Takes compressed `bytes` and hands what they stand for to `emit`, in pieces.
    public func decompress(_ bytes: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        var outputWasFull = false
        while input.pos < input.size || outputWasFull {
            if isFinished { throw Failure(.failed, "cannot decompress the image", why: "there is data after its end") }
            let (result, produced, room) = output.withUnsafeMutableBytes { space in
                var buffer = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
                let result = ZSTD_decompressStream(context, &buffer, &input)
                return (result, buffer.pos, space.count)
            }
            try check(result, "decompress")
            outputWasFull = produced == room && result != 0
            isFinished = result == 0
            if produced > 0 {
                try output.withUnsafeBytes { try emit(UnsafeRawBufferPointer(rebasing: $0[..<produced])) }
            }
        }
    }
}

private func check(_ result: Int, _ verb: String) throws {
    if ZSTD_isError(result) != 0 {
        throw Failure(.failed, "cannot \(verb) the image", why: String(cString: ZSTD_getErrorName(result)))
    }
}
