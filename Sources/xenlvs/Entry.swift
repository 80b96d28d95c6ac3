import ArgumentParser
import Glibc
import ISCSIHost
import ISCSIProbe
import LVMHost
import Operations

@main
enum Entry {
    static func main() async {
        let words = CommandLine.arguments
        // LVM's library is hosted in a child process of this binary: it is neither safe beside other threads nor to be
        // trusted with the rest of the program. The child must not have done anything else before.
        if words.count >= 3, words[1] == "lvm-worker", words[2] == "--" {
            exit(LVMHost.run(arguments: Array(words.dropFirst(3))))
        }
        // A write to the AoE initiator can hang in the kernel, and the process that has made it with it.
        if words.count >= 3, words[1] == "aoe-control", words[2] == "--" {
            exit(InitiatorControl.run(arguments: Array(words.dropFirst(3))))
        }
        // So can a write to the iSCSI target, while a device does not answer.
        if words.count >= 3, words[1] == "kernel-target", words[2] == "--" {
            exit(KernelTargetWorker.run(arguments: Array(words.dropFirst(3))))
        }
        // What 'xl migrate' runs to have its stream carried.
        if words.count >= 3, words[1] == TransportRelay.word, words[2] == "--" {
            exit(TransportRelay.run(arguments: Array(words.dropFirst(3))))
        }
        // What a target sends is read by a C library, in a process that has given up its rights.
        if words.count >= 3, words[1] == "iscsi-probe", words[2] == "--" {
            exit(ProbeWorker.run(arguments: Array(words.dropFirst(3))))
        }
        // A peer, an ssh or an 'xl restore' that ends early is a failure to be told, not the end of this process.
        signal(SIGPIPE, SIG_IGN)
        await XenlvsCommand.main(nil)
    }
}
