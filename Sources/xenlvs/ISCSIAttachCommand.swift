import ArgumentParser
import HostModel
import ISCSI
import Operations
import Storage

extension AttachCommand {
    struct OverISCSI: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "iscsi", abstract: "Attach the disk of an iSCSI target with open-iscsi.",
            discussion: """
                The disk gets the link /dev/xenlvs/NAME, which guests are configured with, and comes back after a boot. \
                Before the kernel hears of it, every portal is asked for the disk's identity (VPD pages 0x80 and 0x83) and \
                size, by a process without rights; all portals must lead to one disk, and after the login the kernel's \
                disks must be that one. Where a part fails, everything is logged out again. \
                What is attached like that already stays as it is. With several portals \
                multipathd makes one device of them where it runs; else xenlvs does, and xenlvsd or \
                'xenlvs multipath watch' has to run.

                Targets know this host by the name in /etc/iscsi/initiatorname.iscsi, which is made where there is none.

                Exit codes: 0 done; 1 refused or failed, nothing changed; 3 a command was still running when its time was \
                up; 4 what was done cannot be taken back, or the journal cannot be read; 5 another command is at work; 6 no \
                such target, disk or CHAP file; 64 usage.
                """)
        @Argument(help: "The target's name, such as iqn.2026-11.invalid.xenlvs.nodea:web1.") var target: String
        @Option(name: .customLong("as"), help: "The name of its link.") var name: String
        @Option(
            name: .customLong("portal"),
            help: ArgumentHelp(
                "An address of the target's host; several are paths to one disk.", valueName: "address[:port]"))
        var portals: [String] = []
        @Option(
            name: .customLong("interface"),
            help: ArgumentHelp(
                """
                The network interface to use: one for all portals, or one for each in the same order. By default the one \
                that the route takes.
                """, valueName: "interface"))
        var interfaces: [String] = []
        @Option(help: ArgumentHelp("Which disk, where the target has several.", valueName: "number")) var lun: Int?
        @Option(
            name: .customLong("chap-file"),
            help: ArgumentHelp(
                "User and secret, in a file of mode 0600 that stays where it is: it is read at boot, too.",
                valueName: "file"))
        var chapFile: String?
        @Option(help: ArgumentHelp("How long its devices may take to appear, 1 to 600.", valueName: "seconds"))
        var timeout = 30

        func run() async throws {
            try await reporting {
                let request = ISCSIAttachRequest(
                    name: try VolumeName(name), target: try ISCSIName(target), paths: try paths(),
                    lun: try checkedLUN(),
                    chapFile: try chapFile.map { try ExportSubject.absolute($0) },
                    limit: try TimeArgument.limit(timeout, in: 1...600))
                let host = try ThisHost.open()
                let attached = try await ISCSIAttachmentManager(host: host).attach(request)
                let attachment = attached.attachment
                if attached.wasThere { Console.say("nothing to do: it is attached like that already") }
                Console.result(
                    "\(host.links.path(of: request.name)) → \(attached.node), \(attachment.identity.size), "
                        + "WWID \(attachment.identity.wwid), by \(attachment.paths.map(\.words).joined(separator: ", "))"
                )
                return .done
            }
        }

        private func paths() throws(Failure) -> [ISCSIPath] {
            guard (1...8).contains(portals.count) else {
                throw Failure(
                    .usage, "cannot attach by \(portals.count) portals", why: "one to eight are needed",
                    remedy: "give an address of the target's host with --portal")
            }
            guard [0, 1, portals.count].contains(interfaces.count) else {
                throw Failure(
                    .usage, "\(interfaces.count) interfaces for \(portals.count) portals cannot be told apart",
                    remedy: "give one --interface for all portals, or one for each in the same order")
            }
            var paths: [ISCSIPath] = []
            for (index, text) in portals.enumerated() {
                let portal = try Portal(text)
                guard !portal.isWildcard else {
                    throw Failure(.usage, "'\(text)' is no address that a target can be reached at")
                }
                let name = interfaces.count > 1 ? interfaces[index] : interfaces.first
                paths.append(
                    ISCSIPath(
                        portal: portal, interface: try name.map { name throws(Failure) in try InterfaceName(name) }))
            }
            guard Set(paths).count == paths.count else {
                throw Failure(
                    .usage, "a portal is given twice", remedy: "a second path needs another portal or interface")
            }
            return paths
        }

        private func checkedLUN() throws(Failure) -> Int? {
            guard let lun, !(0...255).contains(lun) else { return self.lun }
            throw Failure(.usage, "\(lun) is no LUN", why: "those from 0 to 255 can be attached")
        }
    }
}
