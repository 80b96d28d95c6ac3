import ArgumentParser

struct AoECommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aoe", abstract: "Serve storage as ATA over Ethernet, and find what others serve.",
        subcommands: [Serve.self, Discover.self])
}
