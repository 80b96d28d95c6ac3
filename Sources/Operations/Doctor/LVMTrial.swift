import FoundationEssentials
import Glibc
import HostModel
import Hosts
import Storage

/// A copy of LVM's configuration with another `lvmlocal.conf`, for LVM to be asked what would come of that.
struct LVMTrial {
    private let host: HostContext
    private let directory: String

    /// - Throws: where the copy cannot be made. `end()` removes it.
    init(host: HostContext, local: LVMLocalFile) throws {
        self.host = host
        directory = host.paths.run + "/lvm-trial"
        try? FileManager.default.removeItem(atPath: directory)
        let origin = host.tree.root + LVMReach.directory
        do {
            guard mkdir(directory, 0o700) == 0 else { throw Failure.system("cannot make \(directory)") }
            for name in KernelFile.names(in: origin) where name != "lvmlocal.conf" {
                guard symlink("\(origin)/\(name)", "\(directory)/\(name)") == 0 else {
                    throw Failure.system("cannot make \(directory)/\(name)")
                }
            }
            try DurableFile.make("\(directory)/lvmlocal.conf", holding: Array(local.text.utf8), mode: 0o600)
        } catch {
            end()
            throw error
        }
    }

    func end() { try? FileManager.default.removeItem(atPath: directory) }

    private func run(_ command: Command) async throws -> String {
        var command = command
        command.environment["LVM_SYSTEM_DIR"] = directory
        return try await host.runner.run(command).output
    }

    /// Throws `.refused` where LVM cannot read the configuration at all.
    func kindsLookedInto() async throws -> [String] {
        do { _ = try await run(LVMDeviceFilter.validation()) } catch {
            let failure = Failure(error, doing: "lvmconfig --validate")
            throw Failure(
                .refused, "cannot set LVM's device filter", why: "LVM does not read its configuration then: \(failure)",
                remedy: "see 'lvmconfig --validate'", causes: [failure])
        }
        return try LVMReach(filter: LVMDeviceFilter(parsing: try await run(LVMDeviceFilter.query()))).kindsLookedInto()
    }

    func physicalVolumes() async throws -> [PhysicalVolume] {
        try LVMReport.physicalVolumes(try await run(LVMCommands.listPhysicalVolumes()))
    }
}
