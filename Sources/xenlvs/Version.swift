/// The version of xenlvs, also told to the other host.
enum Version {
    static let text = "0.1.0"
}
