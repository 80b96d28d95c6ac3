import HostModel
import Subprocess

#if canImport(Glibc)
    import Glibc
#endif

/// Where the programs stand that xenlvs runs, and what they are run with.
enum ToolPaths {
    private static let environment: [Environment.Key: String] = [
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root",
        // LVM complains about every descriptor that it did not open itself; ours are close-on-exec.
        "LVM_SUPPRESS_FD_WARNINGS": "1",
    ]

    /// All that a command finds in its environment.
    static func environment(of command: Command) -> Environment {
        var variables = environment
        for (name, value) in command.environment { variables[Environment.Key(stringLiteral: name)] = value }
        return .custom(variables)
    }

    /// The first candidate that can be executed. Throws `.notFound` with the package that has it.
    static func path(of tool: Tool) throws -> String {
        if let path = tool.candidatePaths.first(where: { access($0, X_OK) == 0 }) { return path }
        throw Failure(
            .notFound, "the program '\(tool.rawValue)' is not on this host",
            why: "looked at \(tool.candidatePaths.joined(separator: ", "))", remedy: package(with: tool))
    }

    /// What our own binary needs to hear to become one of the tools that it hosts.
    static func leadingArguments(of tool: Tool) -> [String] {
        switch tool {
        case .lvm: ["lvm-worker", "--"]
        case .aoeControl: ["aoe-control", "--"]
        case .iscsiProbe: ["iscsi-probe", "--"]
        case .kernelTarget: ["kernel-target", "--"]
        case .drbdsetup, .drbdmeta, .xl, .modprobe, .losetup, .ssh, .udevadm, .blockdev, .dmesg, .xenstoreRead,
            .xenstoreWrite, .sha256sum, .fallocate, .iscsiadm, .multipath, .multipathd:
            []
        }
    }

    private static func package(with tool: Tool) -> String {
        switch tool {
        case .lvm, .aoeControl, .iscsiProbe, .kernelTarget: "reinstall xenlvs"
        case .drbdsetup, .drbdmeta: "install the package drbd-utils"
        case .xl: "install the package xen-utils and boot the host under Xen"
        case .xenstoreRead, .xenstoreWrite: "install the package xenstore-utils"
        case .modprobe: "install the package kmod"
        case .losetup, .blockdev, .dmesg, .fallocate: "install the package util-linux"
        case .ssh: "install the package openssh-client"
        case .udevadm: "install the package udev"
        case .sha256sum: "install the package coreutils"
        case .iscsiadm: "install the package open-iscsi"
        case .multipath, .multipathd: "install the package multipath-tools"
        }
    }
}
