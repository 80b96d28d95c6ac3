import ArgumentParser
import HostModel
import Operations
import Storage

struct LinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link", abstract: "The links below /dev/xenlvs that guests are configured with.",
        subcommands: [Set.self])

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take an existing LV over as a volume and set its link.")
        @Argument(help: "The volume's name, which is the LV's.") var name: String
        @Argument(help: "The LV's device, such as /dev/vg0/web1.") var path: String

        func run() async throws {
            try await reporting {
                let volume = try await VolumeManager(host: try HostContext()).adopt(try VolumeName(name), path: path)
                Console.result("/dev/xenlvs/\(volume.name) → \(volume.place), \(volume.size)")
                return .done
            }
        }
    }
}
