import Foundation

/// What runs the nodes' instructions.
public enum Accelerator: String, Codable, Sendable {
    /// QEMU's own emulation: works everywhere.
    case tcg
    /// The machine's virtualisation, nested once more for PVH guests.
    case kvm

    /// QEMU's options. With `-cpu max` dom0 crashes early under emulation; `qemu64` with SVM and nested paging is
    /// enough for Xen to offer PVH. RDRAND fills the kernel's random pool at once. Translated code is held to 512 MB:
    /// by itself QEMU takes gigabytes.
    var arguments: [String] {
        switch self {
        case .tcg: ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "qemu64,+svm,+npt,+rdrand"]
        case .kvm: ["-accel", "kvm", "-cpu", "host"]
        }
    }

    /// KVM if Xen and dom0's kernel really boot with it, found out by trying. `/dev/kvm` alone says little: on some
    /// machines it exists and no guest starts, or one starts and hangs.
    static func probe(image: LabImage, in directory: LabDirectory) async -> Accelerator {
        if let known = try? directory.read(Accelerator.self, from: "accelerator.json") { return known }
        let verdict: Accelerator = await kvmBoots(image, directory) ? .kvm : .tcg
        try? directory.write(verdict, to: "accelerator.json")
        return verdict
    }

    private static func kvmBoots(_ image: LabImage, _ directory: LabDirectory) async -> Bool {
        guard access("/dev/kvm", R_OK | W_OK) == 0 else { return false }
        let console = directory.file("probe.console")
        defer { try? FileManager.default.removeItem(at: console) }
        let arguments =
            Accelerator.kvm.arguments
            + Machine.bootArguments(image: image, memory: 1024, dom0Memory: 512, node: "probe")
            + ["-serial", "file:\(console.path)"]
        guard let probe = try? LocalCommand(Machine.program, arguments, scratch: directory.scratch) else {
            return false
        }
        defer { probe.terminate() }
        // The initramfs prints this as its first act.
        try? await waitUntil("KVM", within: .seconds(20)) {
            !probe.isRunning || (try? String(contentsOf: console, encoding: .utf8))?.contains("lab-initramfs") == true
        }
        return probe.isRunning
            && (try? String(contentsOf: console, encoding: .utf8))?.contains("lab-initramfs") == true
    }
}
