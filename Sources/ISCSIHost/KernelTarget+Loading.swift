import Glibc
import HostModel
import Hosts
import ISCSI

extension KernelTarget {
    /// Loads the kernel's target where it is not there yet.
    /// - Throws: `.refused` where this kernel has none.
    public func load(_ runner: any CommandRunner) async throws {
        if isPresent, access("\(KernelWrite.root)/core", F_OK) == 0 { return makeDatabase() }
        // The module looks for its directory when it is loaded, and complains for ever where it is not there.
        _ = mkdir("/etc/target", 0o755)
        do {
            let modules = ["target_core_mod", "target_core_iblock", "iscsi_target_mod"]
            try await runner.run(Command(.modprobe, ["-a"] + modules, .mutation))
        } catch {
            throw Failure(
                .refused, "this host cannot export over iSCSI", why: "the kernel's target cannot be loaded",
                remedy: "install the kernel package that has target_core_mod and iscsi_target_mod",
                causes: [Failure(error, doing: "modprobe")])
        }
        if !isPresent {
            let what = "cannot mount configfs on /sys/kernel/config"
            guard mount("configfs", "/sys/kernel/config", "configfs", 0, nil) == 0 || errno == EBUSY else {
                throw Failure.system(what)
            }
        }
        guard isPresent else {
            throw Failure(
                .refused, "this host cannot export over iSCSI", why: "there is no \(KernelWrite.root)",
                remedy: "see that configfs is mounted on /sys/kernel/config, and 'lsmod | grep target_core'")
        }
        makeDatabase()
    }

    /// Makes the directories in which the kernel keeps what has to outlast it. Without them it refuses initiators a persistent
    /// reservation that is to outlast a loss of power (target_core_pr.c, __core_scsi3_write_aptpl_to_file), as they are missing
    /// where somebody else has loaded it.
    func makeDatabase() {
        // 'dbroot' is beside 'core' (target_core_init_configfs, target_core_configfs.c); kernels without it have this one.
        let root = (try? text("dbroot")) ?? "/var/target"
        guard root.hasPrefix("/") else { return }
        for path in [root, "\(root)/pr", "\(root)/alua"] { _ = mkdir(path, 0o755) }
    }
}
