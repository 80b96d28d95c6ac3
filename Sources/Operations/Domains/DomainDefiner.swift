import Domains
import HostModel
import Hosts
import Storage

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Writes configuration files for `xl create` whose disks are volumes.
public struct DomainDefiner: Sendable {
    private let host: HostContext

    public init(host: HostContext) { self.host = host }

    /// The file's text, after a look at whether every disk is a volume that a guest may have.
    /// - Returns: also what an operator should know before the domain is created.
    /// - Throws: `.usage` for values that no configuration can hold, `.notFound` for an unknown volume, `.refused` for one
    ///   that is not a guest's disk here or is named twice.
    public func render(_ configuration: DomainConfiguration) async throws -> (text: String, warnings: [String]) {
        let what = "cannot write a configuration for domain \(configuration.name)"
        var seen: Set<VolumeName> = []
        for disk in configuration.disks {
            guard seen.insert(disk.volume).inserted else {
                throw Failure(.refused, what, why: "it has the volume '\(disk.volume)' twice")
            }
        }
        let text = try configuration.rendered()
        var warnings = try Self.files(configuration, doing: what)
        for disk in configuration.disks { warnings += try await check(disk.volume, doing: what) }
        return (text, warnings)
    }

    private func check(_ name: VolumeName, doing what: String) async throws -> [String] {
        guard let volume = try VolumeManager(host: host).record(of: name) else {
            throw Failure(
                .notFound, what, why: "there is no volume '\(name)'",
                remedy: "make it with 'xenlvs volume create \(name) --size SIZE'")
        }
        if let objection = volume.objection {
            throw Failure(.refused, what, why: "the volume '\(name)' \(objection)")
        }
        var warnings: [String] = []
        let keeper = LinkKeeper(host: host)
        for facts in try await keeper.show(name) where !facts.verdict.isFine {
            let remedy = facts.remedy ?? "see 'xenlvs link show'"
            warnings.append("\(facts.path): \(facts.why ?? "it is not right"); \(remedy)")
        }
        let plain = try await keeper.plainDevice(volume)
        let use = try await host.currentUse(asksLVM: false)
        for domain in use.domains(on: [plain?.number].compactMap(\.self)) {
            warnings.append("the domain \(domain) uses the volume '\(name)' at the moment; two must never")
        }
        return warnings
    }

    /// Boot files are looked for on this host by `xl create`, with their full paths.
    private static func files(_ configuration: DomainConfiguration, doing what: String) throws -> [String] {
        var warnings: [String] = []
        for path in [configuration.kernel, configuration.ramdisk].compactMap(\.self) {
            guard path.hasPrefix("/") else {
                throw Failure(.usage, what, why: "'\(path.prefix(200))' is not a full path")
            }
            if !FileManager.default.fileExists(atPath: path) {
                warnings.append("\(path) is not there; the domain cannot be created without it")
            }
        }
        return warnings
    }
}
