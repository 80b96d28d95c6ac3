/// What a domain is doing, from the state letters of `xl list`.
///
/// `xl list` prints six columns `r b p s X d` (`list_domains` in `tools/xl/xl_info.c`): running, blocked, paused, shut
/// down, the reason of the shutdown (`-` power-off, `r` reboot, `s` suspend, `c` crash, `w` watchdog, `S` soft reset),
/// dying. A column that does not apply is `-`, so a guest that only waits for a CPU is `------`.
public enum DomainState: String, Sendable, Codable, CaseIterable {
    /// Its virtual CPUs run, wait for work or wait for a CPU.
    case active
    /// Held by the toolstack. A domain just restored with `-p` is in this state, and so is one whose restore is still
    /// reading its image (see ``DomainDescription`` on how to tell them apart).
    case paused
    /// Suspended: `xl save` is writing its image, or was killed while doing so. Nothing but a resume lets it run on;
    /// its memory is intact and its disks are still open. See ``XLCommands/save(_:to:then:deadline:)``.
    case suspended
    case poweredOff
    case rebooting
    case crashed
    /// Being destroyed, or a zombie whose memory another domain still maps.
    case dying

    /// Parses the state column; nil where it is not one.
    public init?(letters: some StringProtocol) {
        let letters = Array(letters.utf8)
        guard letters.count == 6 else { return nil }
        for (letter, flag) in zip([letters[0], letters[1], letters[2], letters[3], letters[5]], "rbpsd".utf8)
        where letter != flag && letter != UInt8(ascii: "-") {
            return nil
        }
        if letters[5] != UInt8(ascii: "-") {
            self = .dying
        } else if letters[3] != UInt8(ascii: "-") {
            switch letters[4] {
            case UInt8(ascii: "-"): self = .poweredOff
            case UInt8(ascii: "r"), UInt8(ascii: "S"): self = .rebooting
            case UInt8(ascii: "s"): self = .suspended
            case UInt8(ascii: "c"), UInt8(ascii: "w"), UInt8(ascii: "?"): self = .crashed
            default: return nil
            }
        } else if letters[4] != UInt8(ascii: "-") {
            return nil
        } else {
            self = letters[2] == UInt8(ascii: "-") ? .active : .paused
        }
    }

    /// Whether the guest's memory and virtual CPUs exist and may run, now or after an unpause or a resume: such a
    /// domain on two hosts at once is what a migration must never cause.
    public var canRun: Bool {
        switch self {
        case .active, .paused, .suspended, .rebooting: true
        case .poweredOff, .crashed, .dying: false
        }
    }
}
