import Dispatch

/// Runs code that blocks on a thread of its own.
///
/// Swift's cooperative pool has as many threads as the host has processors, and a small dom0 has one: a blocking call on it
/// would stop everything else, the end of child processes included.
public enum Blocking {
    public static func run<Value: Sendable>(
        _ label: String, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: label).async { continuation.resume(with: Result(catching: body)) }
        }
    }
}
