import AoE
import ArgumentParser
import HostModel
import Operations
import Storage

struct AttachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach", abstract: "Use storage of another host on this one.",
        subcommands: [OverAoE.self, OverISCSI.self])

    struct OverAoE: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "aoe", abstract: "Attach an ATA-over-Ethernet target with Linux's own initiator.",
            discussion: """
                The target gets the link /dev/xenlvs/NAME, which guests are configured with, and comes back after a boot. \
                The kernel's module aoe is loaded where it is not, and uses no other interfaces than attachments, and \
                devices that others have in use, need. Before, everybody who answers for the address on any of them is \
                asked what it is: the kernel takes them all for paths to one device, so all must have the same size, model \
                and serial number. Where a part fails, what was done is taken back. What is attached like that already stays as \
                it is.

                Exit codes: 0 done; 1 refused or failed, nothing changed; 3 a command was still running when its time \
                was up; 4 what was done cannot be taken back, or the journal cannot be read; 5 something uses the device, \
                or another command is at work; 6 no such interface, or nobody answers; 64 usage.
                """)
        @Argument(help: "The target's address, such as e1.0.") var address: String
        @Option(name: .customLong("as"), help: "The name of its link.") var name: String
        @Option(
            name: .customLong("interface"),
            help: ArgumentHelp(
                """
                An Ethernet interface to reach it by; may be given several times. By default those on which it answers, \
                guests' interfaces (vif, tap) left out.
                """, valueName: "interface"))
        var interfaces: [String] = []
        @Flag(
            help: """
                The link leads to a device that takes flushes, which the AoE disk does not: for a guest that comes from a \
                disk with a cache, or may go to one.
                """)
        var takeFlushes = false
        @Option(help: ArgumentHelp("How long all of it may take, 1 to 600.", valueName: "seconds")) var timeout = 30

        func run() async throws {
            try await reporting {
                let request = AttachRequest(
                    name: try VolumeName(name), address: try AoEAddress(address),
                    interfaces: try interfaces.map { try InterfaceName($0) },
                    limit: try TimeArgument.limit(timeout, in: 1...600), takesFlushes: takeFlushes)
                let host = try ThisHost.open()
                let attached = try await AttachmentManager(host: host).attach(request)
                if attached.wasThere { Console.say("nothing to do: it is attached like that already") }
                for warning in attached.warnings { Console.say("warning: \(warning)") }
                let paths = attached.paths.map { "\($0.mac) on \($0.interface)" }.joined(separator: ", ")
                Console.result(
                    "\(host.links.path(of: request.name)) → \(attached.node), \(attached.attachment.identity.size), "
                        + "from \(paths)")
                return .done
            }
        }
    }
}

struct DetachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Give attached storage back.",
        discussion: """
            What the host has of it in memory is written, the link is removed, the kernel's device is given back, and the \
            record goes; over iSCSI the map and the sessions end. Nothing is done while a domain, a mount, another device \
            or a process has it. While an AoE target answers on an interface that the kernel uses, the kernel finds it \
            again within a minute; nothing uses it then.

            Exit codes: 0 done; 1 refused or failed, nothing changed; 3 the kernel has not given it back yet: run it again; \
            4 the journal cannot be read; 5 something uses it; 6 no such attachment; 64 usage.
            """)
    @Argument(help: "The attachment's name.") var name: String
    @Flag(
        help: """
            Give up what is not written yet, where the target does not answer any more. What is in use is refused all the \
            same.
            """)
    var force = false

    func run() async throws {
        try await reporting {
            let name = try VolumeName(name)
            let removed = try await Attachments(host: try ThisHost.open()).detach(name, force: force)
            for line in removed { Console.result("removed \(line)") }
            return .done
        }
    }
}
