import ArgumentParser
import Domains
import HostModel
import Operations

extension DomainCommand {
    struct Define: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "define",
            abstract: "Write a configuration for 'xl create' whose disks are volumes, named by their links.",
            discussion: """
                The file appears complete or not at all, and one that is there is replaced only with --force. The volumes \
                must exist; the domain is not created.

                Exit codes: 0 written; 1 refused or failed, nothing written; 4 the journal cannot be read; 6 no such \
                volume; 64 usage.
                """)
        @Argument(help: "The domain's name.") var name: String
        @Option(help: "The memory, such as 512M.") var memory: String
        @Option(
            name: .customLong("disk"),
            help: ArgumentHelp(
                "A volume as a disk; may be given several times. Without a device: xvda, xvdb and so on.",
                valueName: "volume[:device]"))
        var disks: [String] = []
        @Option(help: "The guest's kernel, a full path on this host.") var kernel: String
        @Option(help: "The guest's initial ramdisk, a full path on this host.") var ramdisk: String?
        @Option(help: "pv or pvh.") var type = GuestType.pvh
        @Option(help: "The number of virtual CPUs.") var vcpus = 1
        @Option(help: "The kernel's command line.") var extra = ""
        @Option(
            name: .customLong("bridge"), help: "A bridge for a network interface; may be given several times.")
        var bridges: [String] = []
        @Option(help: "The file; /etc/xen/NAME.cfg by default, - for standard output.") var output: String?
        @Flag(help: "Replace a file that is there.") var force = false

        enum GuestType: String, ExpressibleByArgument, CaseIterable { case pv, pvh }

        func run() async throws {
            try await reporting {
                let configuration = try configuration()
                let definer = DomainDefiner(host: try ThisHost.open())
                let (text, warnings) = try await definer.render(configuration)
                for warning in warnings { Console.say("warning: \(warning)") }
                let path = output ?? "/etc/xen/\(configuration.name).cfg"
                if path == "-" {
                    Console.result(text)
                } else {
                    try ConfigurationFile.write(text, to: path, replacing: force)
                    Console.result(path)
                }
                return .done
            }
        }

        private func configuration() throws -> DomainConfiguration {
            guard !disks.isEmpty else {
                throw Failure(.usage, "a domain needs a disk", remedy: "give --disk VOLUME")
            }
            return DomainConfiguration(
                name: try DomainName(name), type: type == .pv ? .pv : .pvh, kernel: kernel, ramdisk: ramdisk,
                commandLine: extra, memory: try SizeArgument.size(memory), virtualCPUs: vcpus,
                disks: try DiskArgument.disks(disks), interfaces: bridges.map { DomainInterface(mac: nil, bridge: $0) })
        }
    }
}

/// The words of `--disk`.
enum DiskArgument {
    /// `web1:xvdb` names its device; the others get the first ones that are left.
    static func disks(_ words: [String]) throws -> [DomainConfiguration.Disk] {
        let parts = try words.map { word in
            let parts = word.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return (volume: try VolumeName(String(parts[0])), device: parts.count > 1 ? String(parts[1]) : nil)
        }
        let given = Set(parts.compactMap(\.device))
        var free = "abcdefghijklmnopqrstuvwxyz".lazy.map { "xvd\($0)" }.filter { !given.contains($0) }.makeIterator()
        return try parts.map { part in
            guard let device = part.device ?? free.next() else {
                throw Failure(.usage, "there are more disks than names for them", remedy: "give a device for each")
            }
            return DomainConfiguration.Disk(volume: part.volume, device: device)
        }
    }
}
