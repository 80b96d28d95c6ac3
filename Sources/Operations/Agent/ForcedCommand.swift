import HostModel

/// What the other side wanted to run, where sshd runs `xenlvs agent --restrict` instead of it (sshd(8), AUTHORIZED_KEYS
/// FILE FORMAT, `command=`). Only the lines that a coordinator sends are known; no shell ever sees one.
public enum ForcedCommand: String, Sendable, CaseIterable {
    case agent = "xenlvs agent"
    case receiver = "xenlvs agent --receive"
    /// What an operator tries a connection with.
    case version = "xenlvs --version"

    /// - Parameter line: sshd's `SSH_ORIGINAL_COMMAND`; nil where the client asked for a shell.
    /// - Throws: `.refused` for anything else.
    public init(line: String?) throws(Failure) {
        guard let command = line.flatMap(Self.init(rawValue:)) else {
            throw Failure(
                .refused, line == nil ? "this key gives no shell" : "this key does not run that command",
                why: "it is restricted to "
                    + Self.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", "),
                remedy: "type the command on this host itself, or use a key without 'xenlvs agent --restrict'")
        }
        self = command
    }
}
