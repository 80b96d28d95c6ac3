import AoE
import HostModel
import Hosts
import ISCSI
import ISCSIHost
import Serving
import Storage

extension HostContext {
    /// What serves this host's volumes over iSCSI.
    public var iSCSIExporter: ISCSIExporter {
        let look = ServedLook(self)
        let questions = ISCSIExporter.Questions(
            devicePath: { links.path(of: $0) },
            scrutiny: { export, isServed in
                if isServed {
                    try await look.check(export.volume)
                } else {
                    let domain = export.domain.map(ToleratedDomains.one) ?? .none
                    try await look.checkUnused(
                        export.volume, besides: export.hasClusterFileSystem == true ? .any : domain)
                }
            })
        return ISCSIExporter(
            paths: paths, program: configuration.iSCSITarget, runner: runner, questions: questions)
    }
}

/// What of a host's volumes others can see now, over whichever protocol.
struct HostExports: Sendable {
    /// One volume as it is served.
    struct Item: Sendable {
        var volume: VolumeName
        var identity: SharedIdentity
        /// Why it is not served although it ought to be; nil where it is.
        var why: String?
    }

    var items: [Item]

    /// Asks the kernel's target where there was ever an export, and the daemon where one runs.
    static func look(_ host: HostContext) async throws -> HostExports {
        var items: [Item] = []
        if ISCSIExporter.hasRecord(host.paths) {
            for status in try await host.iSCSIExporter.list() {
                guard let volume = status.volume, let wwid = status.wwid, status.state != .foreign else { continue }
                items.append(
                    Item(
                        volume: volume, identity: .wwid(wwid),
                        why: status.state == .serving ? nil : status.why ?? "it is not served"))
            }
        }
        for status in try await overAoE(host) {
            guard let volume = status.record.volume else { continue }
            let why =
                status.state == .serving
                ? nil : status.failure.map { $0.why ?? $0.what } ?? "its export is \(status.state.rawValue)"
            items.append(
                Item(volume: volume, identity: .serial(status.record.serial), why: why))
        }
        return HostExports(items: items)
    }

    private static func overAoE(_ host: HostContext) async throws -> [ExportStatus] {
        do { return try await ControlClient.ask(.list(statistics: false), of: host.paths) } catch let failure as Failure
            where failure.code == .unreachable
        { return [] }
    }
}
