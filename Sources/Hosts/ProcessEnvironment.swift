import FoundationEssentials

/// The environment that this process was started with.
public enum ProcessEnvironment {
    public static var variables: [String: String] { ProcessInfo.processInfo.environment }
}
