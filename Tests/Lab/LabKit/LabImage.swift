import Foundation

/// What the nodes boot, built once and cached by `Tests/Lab/image/build.sh`.
struct LabImage: Sendable {
    let directory: URL

    var root: URL { directory.appending(path: "root.img") }
    var xen: URL { directory.appending(path: "xen") }
    var kernel: URL { directory.appending(path: "kernel") }
    var initramfs: URL { directory.appending(path: "initrd") }
    var key: URL { directory.appending(path: "keys/id_ed25519") }
    var knownHosts: URL { directory.appending(path: "keys/known_hosts") }

    /// Finds the image in the cache, or builds it: about a minute.
    static func make() async throws -> LabImage {
        // The scripts lie beside this source, in the checkout that this was compiled from.
        let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "image/build.sh")
        let result = try await LocalCommand.run(script.path, [], timeout: .seconds(1200))
        return LabImage(directory: URL(filePath: result.text, directoryHint: .isDirectory))
    }
}
