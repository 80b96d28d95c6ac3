import Glibc

/// Calls `body` with a socket address of any family as bind(2) and its like take it.
/// - Parameter length: in bytes; less than the whole structure where the name in it is shorter.
package func withSocketAddress<Address, Result>(
    _ address: Address, length: Int = MemoryLayout<Address>.size,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result {
    withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
    }
}
