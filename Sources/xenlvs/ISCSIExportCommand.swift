import ArgumentParser
import HostModel
import ISCSI
import ISCSIHost
import Operations
import Storage

/// How long is waited for the kernel's target.
struct KernelPatience: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How long the kernel may take for one change, 1 to 3600: it may wait for requests that are under way.",
            valueName: "seconds"))
    var timeout = 60

    var limit: Duration { get throws { try TimeArgument.limit(timeout, in: 1...3600) } }
}

extension ExportCommand {
    struct OverISCSI: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "iscsi", abstract: "Export a volume as an iSCSI target, by the kernel (LIO) or by tgt.",
            discussion: """
                When the command has ended, the initiators that are named can log in and find the volume as one disk, \
                by the same serial number and WWID on every host. The volume must be a logical volume. An export of it \
                that is there already is changed to what is given. One of another volume that cannot be served now is \
                told and left as it is. xenlvs-iscsi.service brings exports back after a boot. With \
                'iscsi_target: tgt' in xenlvs.yaml tgt's daemon serves, for a kernel that has no target.

                A CHAP file has the lines 'user = NAME' and 'secret = …', and for mutual CHAP 'mutual_user' and \
                'mutual_secret'; only root may read it. Secrets have 12 to 255 characters. iSCSI is not encrypted: serve \
                only on networks that you trust.

                Exit codes: 0 done, or nothing to do; 1 refused or failed, nothing changed; 3 changed in part; 4 needs \
                recovery, or the record of exports cannot be read; 5 a domain, another export, or an initiator has it; 6 no \
                such volume or file; 64 usage.
                """)
        @Argument(help: "The volume's name.") var volume: String
        @Option(
            name: .customLong("portal"),
            help: ArgumentHelp(
                "An address of this host, with a port if it is not 3260; may be given several times.",
                valueName: "address"))
        var portals: [String] = []
        @Option(
            name: .customLong("initiator"),
            help: ArgumentHelp(
                "The name of an initiator that may use it; may be given several times.", valueName: "iqn"))
        var initiators: [String] = []
        @Option(help: ArgumentHelp("The file with users and secrets.", valueName: "file")) var chapFile: String?
        @Option(help: ArgumentHelp("The target's name; made of host and volume by default.", valueName: "iqn"))
        var targetName: String?
        @Option(help: "The LUN, 1 to 255; by default the next that was never used.") var lun: Int?
        @Option(help: "Checksums over headers: either, crc32c (required) or none.") var headerDigest = Digest.either
        @Option(help: "Checksums over data: either, crc32c (required) or none.") var dataDigest = Digest.either
        @Flag(help: "Open the volume for reading only.") var readOnly = false
        @Flag(help: "Let initiators give blocks back (UNMAP).") var thin = false
        @Flag(help: "End sessions that are in the way, after what is under way on them.") var drain = false
        @OptionGroup var patience: KernelPatience

        func run() async throws {
            try await reporting {
                let host = try ThisHost.open()
                let export = try asked(of: host)
                try export.validate()
                var manner = ISCSIExporter.Manner()
                (manner.drains, manner.undoes, manner.limit) = (drain, true, try patience.limit)
                manner.leavesOthers = true
                let outcome = try await host.iSCSIExporter.apply(manner) { state in
                    if let index = state.exports.firstIndex(where: { $0.volume == export.volume }) {
                        state.exports[index] = export.keepingUsers(of: state.exports[index])
                    } else {
                        state.exports.append(export)
                    }
                }
                outcome.warn()
                let places = export.portals.map(\.description).joined(separator: ", ")
                if outcome.orders.isEmpty { Console.say("nothing to do: it is exported like that already") }
                Console.result("exported \(export.volume) as \(export.target) on \(places)")
                return .done
            }
        }

        private func asked(of host: HostContext) throws -> ISCSIExport {
            let volume = try VolumeName(volume)
            let target =
                try targetName.map { try ISCSIName($0) } ?? ISCSIExport.standardTarget(of: volume, on: host.name)
            return ISCSIExport(
                volume: volume, target: target, lun: lun, portals: try portals.map { try Portal($0) },
                initiators: try initiators.map { AllowedInitiator(try ISCSIName($0)) },
                chapFile: try chapFile.map(ExportSubject.absolute), headerDigest: headerDigest,
                dataDigest: dataDigest, isReadOnly: readOnly, isThin: thin)
        }
    }
}

extension Digest: ExpressibleByArgument {}

extension ISCSIExporter.Outcome {
    /// Tells of exports that the command was not about.
    fileprivate func warn() {
        for failure in failures { Console.say("warning: " + failure.detailedDescription) }
    }
}

extension UnexportCommand {
    struct OverISCSI: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "iscsi", abstract: "End the export of a volume over iSCSI.",
            discussion: """
                Refused while an initiator is logged in, with a list of those that are. The volume's LUN is never given \
                to another volume on this target. An export of another volume that cannot be served now is told and \
                left as it is.

                Exit codes: 0 done; 1 failed; 3 ended in part: repeat it; 4 the record of exports cannot be read; 5 an \
                initiator is logged in; 6 no such export; 64 usage.
                """)
        @Argument(help: "The volume's name.") var volume: String
        @Flag(help: "End sessions, after what is under way on them; their hosts lose the disk.") var drain = false
        @OptionGroup var patience: KernelPatience

        func run() async throws {
            try await reporting {
                let volume = try VolumeName(volume)
                var manner = ISCSIExporter.Manner()
                (manner.drains, manner.limit) = (drain, try patience.limit)
                manner.leavesOthers = true
                let outcome = try await ThisHost.open().iSCSIExporter.apply(manner) { state in
                    guard let index = state.exports.firstIndex(where: { $0.volume == volume }) else {
                        throw Failure(
                            .notFound, "the volume '\(volume)' is not exported over iSCSI",
                            remedy: "see 'xenlvs exports'")
                    }
                    state.exports.remove(at: index)
                }
                outcome.warn()
                Console.result("\(volume) is not exported over iSCSI any more")
                return .done
            }
        }
    }
}
