import HostModel

/// The ssh command lines that reach another host. Authentication and encryption are ssh's.
public enum SSHCommand {
    /// The agent that takes requests.
    public static func agent(on host: HostName) -> Command { command(host, ["xenlvs", "agent"]) }

    /// The agent that receives one saved image.
    public static func receiver(on host: HostName) -> Command { command(host, ["xenlvs", "agent", "--receive"]) }

    /// No prompt may ever be waited for, and a peer that went away must be noticed: three probes, five seconds apart.
    public static let options = [
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
        "-o", "ControlPath=none",
    ]

    /// The remote words are fixed; nothing that came from outside becomes part of a remote shell's line.
    private static func command(_ host: HostName, _ words: [String]) -> Command {
        Command(.ssh, ["-T"] + options + ["--", host.text] + words, .mutation)
    }
}
