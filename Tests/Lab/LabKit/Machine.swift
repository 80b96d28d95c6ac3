import Foundation

/// The networks of the lab. Each node also has a management card that only this machine reaches: it carries ssh to the
/// node and is never cut.
public enum LabNetwork: String, CaseIterable, Sendable {
    /// 10.77.0.N: where hosts talk to each other.
    case cluster
    /// 10.78.0.N: a second path between the same hosts.
    case storage

    /// Part of the cards' MAC addresses; the node's boot script reads it.
    var macByte: String { self == .cluster ? "77" : "78" }
    /// The address of the node with this number.
    func address(_ number: Int) -> String { "10.\(macByte).0.\(number)" }
}

/// The virtual machine that is one node, as arguments to QEMU. Pure.
struct Machine {
    static let program = "qemu-system-x86_64"

    /// The node's letter and those of all nodes.
    let node: String
    let all: [String]
    let image: LabImage
    let directory: LabDirectory
    let accelerator: Accelerator
    let sshPort: UInt16

    /// a is 1, b is 2: the last byte of addresses.
    static func number(_ node: String) -> Int { (["a", "b", "c"].firstIndex(of: node) ?? 0) + 1 }

    var overlay: URL { directory.file("\(node).qcow2") }
    var dataDisk: URL { directory.file("\(node).data") }
    /// For whatever a scenario needs a second disk for.
    var spareDisk: URL { directory.file("\(node).spare") }
    var console: URL { directory.file("\(node).console") }
    var controlSocket: URL { directory.file("\(node).qmp") }
    var pidFile: URL { directory.file("\(node).pid") }

    /// One end of the cable to `peer`. A datagram socket has no connection that could break: the other end may be
    /// switched off and on, and frames sent meanwhile are lost, as on a real cable.
    func cable(_ network: LabNetwork, from end: String, to peer: String) -> URL {
        directory.file("\(end)-\(network.rawValue)-\(peer)")
    }

    /// The name by which QEMU knows the card, and the node its interface.
    static func card(_ network: LabNetwork, to peer: String) -> String { "\(network.rawValue)-\(peer)" }

    var peers: [String] { all.filter { $0 != node } }
    var sockets: [URL] {
        [controlSocket] + LabNetwork.allCases.flatMap { network in peers.map { cable(network, from: node, to: $0) } }
    }

    /// What every machine of the lab has: Xen loaded as a multiboot kernel, with dom0's kernel and initramfs as its
    /// modules. QEMU splits modules at commas, so their command lines must have none.
    static func bootArguments(image: LabImage, memory: Int, dom0Memory: Int, node: String) -> [String] {
        [
            "-machine", "q35", "-smp", "1", "-m", "\(memory)", "-nodefaults", "-display", "none", "-monitor", "none",
            "-kernel", image.xen.path,
            "-append", "console=com1 dom0_mem=\(dom0Memory)M,max:\(dom0Memory)M no-real-mode edd=off noreboot",
            "-initrd",
            "\(image.kernel.path) console=hvc0 xenlvs.node=\(node) loglevel=4 mitigations=off net.ifnames=0,"
                + image.initramfs.path,
        ]
    }

    var arguments: [String] {
        var result = ["-name", "xenlvs-lab-\(node)", "-daemonize", "-pidfile", pidFile.path]
        result += accelerator.arguments
        result += Self.bootArguments(image: image, memory: 1600, dom0Memory: 700, node: node)
        result += ["-chardev", "file,id=console,path=\(console.path),append=on", "-serial", "chardev:console"]
        result += ["-qmp", "unix:\(controlSocket.path),server=on,wait=off"]
        result += disk("root", file: overlay, format: "qcow2") + disk("data", file: dataDisk, format: "raw")
        result += disk("spare", file: spareDisk, format: "raw")
        result += [
            "-netdev", "user,id=manage,restrict=on,hostfwd=tcp:127.0.0.1:\(sshPort)-:22",
            "-device", "virtio-net-pci,netdev=manage,mac=52:54:00:4d:00:\(byte(node))",
        ]
        for network in LabNetwork.allCases {
            for peer in peers { result += card(network, peer) }
        }
        return result
    }

    /// `cache=writeback`: what the node flushed is with this machine's kernel, and stays when QEMU is killed.
    private func disk(_ name: String, file: URL, format: String) -> [String] {
        [
            "-drive", "if=none,id=\(name),file=\(file.path),format=\(format),cache=writeback,discard=unmap",
            "-device", "virtio-blk-pci,drive=\(name),serial=lab\(name)",
        ]
    }

    private func card(_ network: LabNetwork, _ peer: String) -> [String] {
        let card = Self.card(network, to: peer)
        let (here, there) = (cable(network, from: node, to: peer), cable(network, from: peer, to: node))
        return [
            "-netdev",
            "dgram,id=\(card),local.type=unix,local.path=\(here.path),remote.type=unix,remote.path=\(there.path)",
            "-device", "virtio-net-pci,netdev=\(card),mac=52:54:00:\(network.macByte):\(byte(node)):\(byte(peer))",
        ]
    }

    private func byte(_ node: String) -> String { "0\(Self.number(node))" }
}
