import Glibc

/// A shared library that is opened by the process that needs it, and so costs no other one its start.
package struct DynamicLibrary {
    private let handle: UnsafeMutableRawPointer
    private let name: String

    /// - Parameters:
    ///   - name: that of its interface (`SONAME`).
    ///   - package: Debian's package that has it.
    /// Throws `.notFound` where it is not installed.
    package init(_ name: String, package: String, doing what: String) throws(Failure) {
        guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
            throw Failure(
                .notFound, what, why: dlerror().map { String(cString: $0) } ?? name,
                remedy: "install the package \(package)")
        }
        (self.handle, self.name) = (handle, name)
    }

    /// One of its functions, whose type is that of the header. Throws `.failed` where it has none of that name.
    package func function<Function>(_ symbol: String) throws(Failure) -> Function {
        guard let address = dlsym(handle, symbol) else {
            throw Failure(.failed, "\(name) cannot be used", why: "it has no '\(symbol)'")
        }
        // dlsym(3) gives functions as data.
        return unsafeBitCast(address, to: Function.self)
    }
}
