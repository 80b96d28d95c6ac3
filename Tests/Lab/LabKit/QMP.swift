import Foundation

/// QEMU's control socket. It serves one client at a time, so each command has a connection of its own.
struct QMP: Sendable {
    let socket: URL

    /// Runs one command and returns when QEMU has answered it.
    func run(_ command: String, _ arguments: [String: any Sendable] = [:]) async throws {
        let request = try JSONSerialization.data(withJSONObject: ["execute": command, "arguments": arguments])
        let connection = try await connect()
        defer { close(connection) }
        try send(Data(#"{"execute":"qmp_capabilities"}"#.utf8) + [10], to: connection)
        try send(request + [10], to: connection)
        // One answer for the negotiation, one for the command; greetings and events come in between.
        var answers = 0
        var pending = Data()
        while answers < 2 {
            guard let line = try await nextLine(&pending, from: connection) else {
                throw LabError.unusable("QEMU hung up on \(command)")
            }
            let message = try JSONSerialization.jsonObject(with: line) as? [String: Any] ?? [:]
            if let error = message["error"] { throw LabError.unusable("QEMU refuses \(command): \(error)") }
            if message["return"] != nil { answers += 1 }
        }
    }

    private func connect() async throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(socket.path.utf8)
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw LabError.unusable("the path \(socket.path) is too long for a socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let target = address
        let descriptor = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var connected = false
        defer { if !connected { close(descriptor) } }
        // An answer that never comes must not hold up a test: the socket itself knows the limit.
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        try await waitUntil("QEMU's control socket \(socket.path)", within: .seconds(10)) {
            withUnsafePointer(to: target) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
                }
            }
        }
        connected = true
        return descriptor
    }

    private func send(_ data: Data, to descriptor: Int32) throws {
        let sent = data.withUnsafeBytes { Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard sent == data.count else { throw LabError.unusable("QEMU does not listen on \(socket.path)") }
    }

    private func nextLine(_ pending: inout Data, from descriptor: Int32) async throws -> Data? {
        while true {
            if let end = pending.firstIndex(of: 10) {
                let line = pending[pending.startIndex..<end]
                pending = Data(pending[pending.index(after: end)...])
                return line
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            pending.append(contentsOf: buffer[..<count])
        }
    }
}
