import ArgumentParser

struct AoECommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aoe", abstract: "Serve storage as ATA over Ethernet.", subcommands: [Serve.self])
}
