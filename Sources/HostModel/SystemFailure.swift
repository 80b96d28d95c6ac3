import Glibc

extension Failure {
    /// The failure of the last system call, by `errno`: `.notFound` for ENOENT, `.busy` for EBUSY, else `.failed`.
    package static func system(_ what: String, errno code: Int32 = errno, remedy: String? = nil) -> Failure {
        let kind: Code =
            switch code {
            case ENOENT: .notFound
            case EBUSY: .busy
            default: .failed
            }
        return Failure(kind, what, why: String(cString: strerror(code)), remedy: remedy)
    }
}
