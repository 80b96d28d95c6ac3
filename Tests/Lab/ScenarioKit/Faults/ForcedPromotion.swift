/// A DRBD device that was made Primary by force, and what the host showed when it was.
///
/// Force turns whatever lies below into "UpToDate". It has its place once: on metadata that has just been made, on the host
/// that has the guest whose disk is below.
package struct ForcedPromotion: Sendable {
    private let command: String
    /// The device's line in `/proc/drbd`.
    private let state: String
    /// `drbdsetup get-gi`: the current generation first, which is 4 as long as nothing was ever written or copied
    /// (UUID_JUST_CREATED, drbd.h).
    private let generations: String
    /// The images of saved guests on this host.
    private let images: String

    /// A line that `note` has written; nil for one that a power cut has torn, because then nothing was forced.
    package init?(line: String) {
        let parts = line.split(separator: "|", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4, parts[0].hasPrefix("primary") else { return nil }
        (command, state, generations, images) = (parts[0], parts[1], parts[2], parts[3])
    }

    /// What a stand-in for drbdsetup does first: writes a line to `file`, durably, if force is asked for.
    static func note(to file: String) -> String {
        """
        case "$*" in primary*--force*)
            echo "$*|$(sed -n "s/^ *$2: //p" /proc/drbd)|$(/lab/real/drbdsetup get-gi $2)|$(ls /var/lib/xenlvs/images)" |
                tr '\\n' ' ' >>\(file); echo >>\(file); sync \(file) ;;
        esac
        """
    }

    /// Why it must not have been forced; nil if all is well.
    ///
    /// - Parameter besideSavedGuest: by the method of the migration the guest has to be saved then.
    package func problem(besideSavedGuest: Bool) -> String? {
        var reasons: [String] = []
        if !state.contains("ds:Inconsistent/") { reasons.append("the disk was not new") }
        if !generations.hasPrefix("0000000000000004:") { reasons.append("its metadata was not new") }
        if besideSavedGuest, !images.contains(".1.") { reasons.append("no saved guest lay beside it") }
        guard !reasons.isEmpty else { return nil }
        return "forced to Primary although \(reasons.joined(separator: ", ")): \(command) | \(state) | "
            + "\(generations) | \(images)"
    }
}
