import HostModel
import Hosts
import Storage

/// Whether the source's volumes are removed at the end, and what speaks against it.
extension MigrationStarter {
    func removesSource(_ request: MigrationRequest) -> Bool {
        request.removesSource || worker.host.configuration.removesSource
    }

    /// What would be lost with the source's volumes. Asked only where they are to be removed. Changes nothing.
    func removalFindings(_ request: MigrationRequest, _ names: [VolumeName]) async throws -> [Finding] {
        guard removesSource(request) else { return [] }
        let host = worker.host
        var findings: [Finding] = []
        for name in names {
            guard let volume = try host.recordedVolume(name) else { continue }
            let uses = try await host.dependants(at: volume.place, uuid: volume.logicalVolumeUUID).uses
            guard !uses.isEmpty else { continue }
            let otherwise =
                host.configuration.removesSource
                ? "set 'remove_source: false' in \(host.paths.configuration)" : "migrate without --remove-source"
            findings.append(
                Finding(
                    .blocking, host.name, "the volume \(name) cannot be removed after the migration",
                    why: uses.sentences, remedy: (uses.map(\.remedy) + ["or \(otherwise)"]).joined(separator: "; ")))
        }
        return findings
    }
}
