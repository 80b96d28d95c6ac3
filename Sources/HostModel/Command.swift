/// The programs that xenlvs runs. Closed, so that nothing else can ever be run; resolved to fixed paths at start.
public enum Tool: String, Sendable, Codable, CaseIterable {
    /// LVM's commands, hosted by `liblvm2cmd` in a child process of our own binary. Arguments begin with the LVM verb (`lvs`).
    case lvm
    case drbdsetup, drbdmeta
    case xl
    case modprobe
    case losetup
    case ssh
    case udevadm
    case blockdev
    case dmesg
    case xenstoreRead = "xenstore-read"
    case xenstoreWrite = "xenstore-write"
    case sha256sum
    case fallocate
    /// Writes to the control files of Linux's AoE initiator, in a child process of our own binary: such a write can hang in
    /// the kernel for as long as a target does not answer.
    case aoeControl = "aoe-control"
    case iscsiadm
    case multipath, multipathd
    /// Speaks with an iSCSI target through `libiscsi`, in a child process of our own binary that has no rights.
    case iscsiProbe = "iscsi-probe"
    /// Writes to the kernel's iSCSI target, in a child process of our own binary: such a write can hang in the kernel for as
    /// long as a device does.
    case kernelTarget = "kernel-target"

    /// Where the program stands, in the order to try.
    public var candidatePaths: [String] {
        switch self {
        case .lvm, .aoeControl, .iscsiProbe, .kernelTarget: ["/proc/self/exe"]
        case .drbdsetup, .drbdmeta, .modprobe, .losetup, .blockdev, .xl, .xenstoreRead, .xenstoreWrite, .iscsiadm,
            .multipath, .multipathd:
            ["/usr/sbin/\(rawValue)", "/sbin/\(rawValue)", "/usr/bin/\(rawValue)", "/bin/\(rawValue)"]
        case .ssh, .udevadm, .dmesg, .fallocate, .sha256sum:
            ["/usr/bin/\(rawValue)", "/bin/\(rawValue)", "/sbin/\(rawValue)"]
        }
    }
}

/// One program run, as a value: built by the pure modules, executed only by a runner.
public struct Command: Sendable, Equatable, CustomStringConvertible {
    /// Whether the run can change anything. Queries run in a dry run too, and may be killed at their deadline.
    public enum Effect: String, Sendable { case query, mutation }

    public var tool: Tool
    public var arguments: [String]
    public var effect: Effect
    /// How long to wait. A mutation that is still running then is left alone and its outcome is unknown.
    public var deadline: Duration
    /// Exit codes that are not failures.
    public var acceptedExitCodes: Set<Int32>
    /// Arguments (by index) that must not be shown.
    public var secretArguments: Set<Int>
    /// What the program finds in its environment beside the runner's own variables.
    public var environment: [String: String]

    public init(
        _ tool: Tool, _ arguments: [String], _ effect: Effect, deadline: Duration = .seconds(60),
        acceptedExitCodes: Set<Int32> = [0], secretArguments: Set<Int> = [], environment: [String: String] = [:]
    ) {
        self.tool = tool
        self.arguments = arguments
        self.effect = effect
        self.deadline = deadline
        self.acceptedExitCodes = acceptedExitCodes
        self.secretArguments = secretArguments
        self.environment = environment
    }

    public static func query(_ tool: Tool, _ arguments: String..., deadline: Duration = .seconds(60)) -> Command {
        Command(tool, arguments, .query, deadline: deadline)
    }

    public static func mutation(_ tool: Tool, _ arguments: String..., deadline: Duration = .seconds(120)) -> Command {
        Command(tool, arguments, .mutation, deadline: deadline)
    }

    /// The line as an operator could type it, secrets replaced. LVM's verbs stand for themselves.
    public var description: String {
        let shown = arguments.enumerated().map { index, argument in
            secretArguments.contains(index) ? "[secret]" : Self.quoted(argument)
        }
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\(Self.quoted($0.value))" }
        return (variables + (tool == .lvm ? shown : [tool.rawValue] + shown)).joined(separator: " ")
    }

    /// `argument` quoted for a POSIX shell where it needs to be.
    public static func quoted(_ argument: String) -> String {
        let isPlain = argument.isPlain("_-./:=,+@%") && !argument.isEmpty
        return isPlain ? argument : "'" + argument.replacing("'", with: "'\\''") + "'"
    }
}

/// What a finished program left behind.
public struct CommandResult: Sendable, Equatable {
    public enum Termination: Sendable, Equatable {
        case exited(Int32)
        case signalled(Int32)
    }

    public var termination: Termination
    /// At most the runner's limit; `truncated` says that more was printed.
    public var output: String
    public var errors: String
    public var truncated: Bool

    public init(termination: Termination, output: String, errors: String, truncated: Bool = false) {
        self.termination = termination
        self.output = output
        self.errors = errors
        self.truncated = truncated
    }

    /// The last lines of what the program said on stderr (or stdout, where stderr is empty), for a message.
    public var lastWords: String {
        let text = errors.allSatisfy(\.isWhitespace) ? output : errors
        return text.split(whereSeparator: \.isNewline).suffix(4).joined(separator: "; ")
    }
}

/// Runs commands on this host. The live one spawns processes; tests play back recorded ones.
public protocol CommandRunner: Sendable {
    /// Runs `command`. Throws a `Failure`: `.failed` for an exit code that is not accepted, `.outcomeUnknown` for a
    /// mutation past its deadline, `.notFound` where the program is missing.
    @discardableResult
    func run(_ command: Command) async throws -> CommandResult

    /// The same, and tells each line that a mutation prints on stderr when it comes.
    func run(_ command: Command, hearing: @escaping @Sendable (String) -> Void) async throws -> CommandResult

    /// The same, with an open file as the program's standard input, which is empty otherwise. The program has the file for as
    /// long as it lives, also beyond its deadline and this process.
    @discardableResult
    func run(_ command: Command, input: Int32) async throws -> CommandResult
}

extension CommandRunner {
    /// For runners that play back: all lines come at the end.
    public func run(_ command: Command, hearing: @escaping @Sendable (String) -> Void) async throws -> CommandResult {
        let result = try await run(command)
        for line in result.errors.split(whereSeparator: \.isNewline) { hearing(String(line)) }
        return result
    }

    /// For runners that play back: nothing reads it.
    @discardableResult
    public func run(_ command: Command, input: Int32) async throws -> CommandResult { try await run(command) }
}
