import HostModel
import Hosts

/// Keeps two commands from changing one volume at the same time. A killed command leaves no lock behind.
enum VolumeLock {
    /// Runs `body` while the volume is locked. Throws `.busy` where another process has it and keeps it.
    /// - Parameter patience: how long to wait for the other process.
    static func holding<Value>(
        _ name: VolumeName, of host: HostContext, patience: Duration = .zero, _ body: () async throws -> Value
    ) async throws -> Value {
        let lock = try await take(name, host.paths.run, patience)
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }

    private static func take(_ name: VolumeName, _ directory: String, _ patience: Duration) async throws -> FileLock {
        try PrivateDirectory.prepare(directory)
        let deadline = ContinuousClock.now + patience
        while true {
            do {
                return try FileLock(
                    path: "\(directory)/volume-\(name).lock", purpose: "a change to the volume '\(name)'")
            } catch let failure as Failure where failure.code == .busy && ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }
}
