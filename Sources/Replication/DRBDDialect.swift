import HostModel

/// Which of DRBD's two command languages the loaded kernel module speaks.
///
/// DRBD 8.4 addresses devices by minor and connections by their pair of addresses; DRBD 9 addresses peers by node
/// number. `drbdsetup` itself hands over to its 8.4 sibling when it finds that module, so the program is the same.
public enum DRBDDialect: String, Sendable, Codable, CaseIterable {
    case v84
    case v9

    /// Reads the dialect from what the loaded module says of itself.
    /// - Parameter moduleVersion: `/sys/module/drbd/version` (`8.4.11`) or `/proc/drbd`, whose first line is
    ///   `version: 8.4.11 (api:1/proto:86-101)`.
    /// - Throws: `.refused` for any other version, or for text without one.
    public init(moduleVersion: String) throws(Failure) {
        let firstLine = moduleVersion.split(whereSeparator: \.isNewline).first ?? ""
        let words = firstLine.split(separator: " ")
        let version = words.first == "version:" ? words.dropFirst().first ?? "" : words.first ?? ""
        let numbers = version.split(separator: ".").map { Int($0) }
        switch (numbers.first, numbers.dropFirst().first) {
        case (8, 4): self = .v84
        case (9, .some(.some)): self = .v9
        default:
            throw Failure(
                .refused, "cannot use the DRBD module",
                why: version.isEmpty ? "it does not say its version" : "its version is '\(version.prefix(40))'",
                remedy: "load DRBD 8.4 (part of Linux) or DRBD 9: modprobe drbd")
        }
    }

    /// The name of the metadata format, as `drbdmeta` takes it.
    public var metadataFormat: String {
        switch self {
        case .v84: "v08"
        case .v9: "v09"
        }
    }
}
