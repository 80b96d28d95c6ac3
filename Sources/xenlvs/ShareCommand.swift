import ArgumentParser
import HostModel
import ISCSI
import Operations
import Reporting

struct ShareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share", abstract: "Let other hosts see a domain's disks, so that the domain can run there too.",
        discussion: """
            Run on the host that has the volumes. They are exported, attached on every other host under the same names, and \
            compared: identity, size, and the bytes of the first and last MiB, past the page caches. The domain may run \
            meanwhile; 'xl migrate' and 'xenlvs migrate' then need not copy its disks. What is so already stays as it is: \
            after an error, repeat the command, or take it back with 'xenlvs unshare'.

            The domain must only ever run on one of the hosts: two guests on one disk destroy it. xenlvs refuses what it \
            sees ('xenlvs shares' lists where the domain is), but 'xl create' asks nobody. Keep it in /etc/xen/auto on \
            one host at most. --cluster-file-system is for the other case, guests on several hosts that all mount the \
            disk: it says that a file system is in it that is made for that, such as OCFS2 or GFS2, with its lock \
            manager in every guest. xenlvs then refuses disks on which it finds another file system, and does not look \
            any more which guests use them; Xen refuses a disk to a second guest of one host.

            Over iSCSI every host is allowed by its initiator name. It attaches by all addresses of this host that \
            --portal names; without, by the one that it is reached from. Over ATA over Ethernet xenlvsd has to run, \
            and any host on the interface can reach the disks.

            Exit codes: 0 done, or nothing to do; 1 refused or failed, nothing changed; 3 done in part: repeat it; 4 the \
            hosts do not see the same disks, or a record cannot be read; 5 something has a disk; 6 no such domain, volume \
            or host; 64 usage.
            """)
    @Argument(help: "The domain.") var domain: String
    @Option(help: "iscsi or aoe.") var via: ShareRecord.Way
    @Option(
        help: ArgumentHelp(
            "Where it is to be able to run, parted by commas, as ssh reaches them; this host may be among them.",
            valueName: "host,host"))
    var hosts: String
    @Option(
        name: .customLong("volume"),
        help: ArgumentHelp(
            "A disk of it; may be given several times. By default those of the running domain, or of its configuration in /etc/xen.",
            valueName: "name"))
    var volumes: [String] = []
    @Option(
        name: .customLong("portal"),
        help: ArgumentHelp(
            "Over iSCSI: an address of this host, by which each host attaches; several are paths.",
            valueName: "address[:port]"))
    var portals: [String] = []
    @Option(
        help: ArgumentHelp(
            "Over iSCSI: the file with users and secrets, which has to be there on every host.", valueName: "file"))
    var chapFile: String?
    @Flag(
        help:
            "Guests on several hosts write to the disks at the same time, by a cluster file system; any other one is destroyed by that."
    )
    var clusterFileSystem = false
    @Option(help: "Over AoE: the shelf, 0 to 65534; different for each host.") var shelf: Int?
    @Option(
        name: .customLong("interface"),
        help: ArgumentHelp("Over AoE: an Ethernet interface of this host.", valueName: "interface"))
    var interfaces: [String] = []

    func validate() throws {
        switch via {
        case .iscsi:
            if shelf != nil || !interfaces.isEmpty {
                throw ValidationError("--shelf and --interface go with --via aoe.")
            }
        case .aoe:
            if chapFile != nil || !portals.isEmpty {
                throw ValidationError("--portal and --chap-file go with --via iscsi.")
            }
            if shelf == nil || interfaces.isEmpty { throw ValidationError("--via aoe needs --shelf and --interface.") }
        }
    }

    func run() async throws {
        try await reporting {
            let request = try request()
            let worker = HostWorker(host: try ThisHost.open(), version: Version.text)
            let record = try await ShareManager(worker: worker) { Console.say($0) }.share(request)
            let names = record.volumes.map(\.text).joined(separator: ", ")
            Console.result(
                "\(record.domain): \(names) shared over \(record.way.rawValue) with "
                    + record.hosts.map(\.text).joined(separator: ", "))
            return .done
        }
    }

    private func request() throws -> ShareRequest {
        let way: ShareRequest.Way =
            switch via {
            case .iscsi:
                .iscsi(
                    portals: try portals.map { try Portal($0) },
                    chapFile: try chapFile.map { try ExportSubject.absolute($0) })
            case .aoe: .aoe(shelf: shelf ?? 0, interfaces: try interfaces.map { try InterfaceName($0) })
            }
        return ShareRequest(
            domain: try DomainName(domain), way: way,
            hosts: try hosts.split(separator: ",").map { try HostName(String($0)) },
            volumes: try volumes.map { try VolumeName($0) }, hasClusterFileSystem: clusterFileSystem)
    }
}

extension ShareRecord.Way: ExpressibleByArgument {}

struct UnshareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unshare", abstract: "Take back what 'xenlvs share' has done.",
        discussion: """
            Run on the host that has the volumes, once the domain runs there or nowhere: the disks are detached on the other \
            hosts, and the exports that were made for it end. Exports and attachments that were there before stay, without the \
            initiators, portals and CHAP file that were added for it.

            Exit codes: 0 done; 1 refused or failed; 3 done in part: repeat it; 4 a record cannot be read; 5 another host \
            uses a disk; 6 not shared; 64 usage.
            """)
    @Argument(help: "The domain.") var domain: String

    func run() async throws {
        try await reporting {
            let domain = try DomainName(domain)
            let worker = HostWorker(host: try ThisHost.open(), version: Version.text)
            for line in try await ShareManager(worker: worker, say: { Console.say($0) }).unshare(domain) {
                Console.result("removed \(line)")
            }
            return .done
        }
    }
}

struct SharesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shares", abstract: "List the domains whose disks this host shares, and where they are.",
        discussion: """
            Every host is asked what it sees. RUNS ON with two hosts is an emergency, unless the disks have a cluster file \
            system. Where hosts do not answer it is listed what the others say, and of which nothing is known.

            Exit codes: 0 done; 1 failed; 4 a record cannot be read; 64 usage.
            """)
    @OptionGroup var output: FormatOption

    func run() async throws {
        try await reporting {
            let worker = HostWorker(host: try ThisHost.open(), version: Version.text)
            try output.show(try await ShareManager(worker: worker, say: { Console.say($0) }).list())
            return .done
        }
    }
}

extension ShareRow: Listable {
    public static var columns: [Table.Column] {
        [
            Table.Column("DOMAIN"), Table.Column("VIA"), Table.Column("HOSTS", shrinks: true),
            Table.Column("DISKS", shrinks: true), Table.Column("STATE"), Table.Column("RUNS ON"),
            Table.Column("WHY", shrinks: true), Table.Column("WHAT TO DO", shrinks: true),
        ]
    }

    public var cells: [String] {
        [
            domain.text, way.rawValue, hosts.map(\.text).joined(separator: ", "),
            volumes.map(\.text).joined(separator: ", "),
            (isShared ? "shared" : isUnknown ? "unknown" : "not shared") + (hasClusterFileSystem ? ", cluster" : ""),
            homes, why ?? "", remedy ?? "",
        ]
    }

    private var homes: String {
        let known = runsOn.map(\.text).joined(separator: ", ")
        let rest = unanswered.isEmpty ? "" : "not known of " + unanswered.map(\.text).joined(separator: ", ")
        let words = [known, rest].filter { !$0.isEmpty }
        return words.isEmpty ? "-" : words.joined(separator: "; ")
    }
}
