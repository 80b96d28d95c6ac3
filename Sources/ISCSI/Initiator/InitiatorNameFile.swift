import HostModel

/// `/etc/iscsi/initiatorname.iscsi`, by which this host is known to targets (open-iscsi, iscsid(8)).
///
/// It is made once. Two hosts with one name, as after an installation was cloned, take each other's sessions away.
public enum InitiatorNameFile {
    public static let path = "/etc/iscsi/initiatorname.iscsi"

    /// A name of 128 random bits that no other host has.
    public static func newName(using generator: inout some RandomNumberGenerator) -> ISCSIName {
        let digits = (0..<2).map { _ in
            let text = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return ISCSIName(unchecked: "iqn.2026-11.invalid.xenlvs:initiator:\(digits.joined())")
    }

    /// What the file holds for a name.
    public static func text(of name: ISCSIName) -> String {
        """
        # Made once by xenlvs. Targets know this host by it: a copy of this installation needs another name.
        InitiatorName=\(name)

        """
    }

    /// The name that a file gives; nil where it gives none, as Debian's does before the first start of open-iscsi.
    /// - Throws: `.inconsistent` where it gives several, or one that targets would not know.
    public static func name(in text: String) throws(Failure) -> ISCSIName? {
        let names = text.split(separator: "\n").compactMap { line in
            String(line).dropping("InitiatorName=").map { String($0.prefix { !$0.isWhitespace }) }
        }
        guard let first = names.first else { return nil }
        do throws(Failure) {
            guard names.count == 1 else { throw Failure(.inconsistent, "it has \(names.count) names") }
            return try ISCSIName(first)
        } catch {
            throw Failure(
                .inconsistent, "cannot use the initiator's name in \(path)", why: error.description,
                remedy: "put it right by hand: targets know this host by it")
        }
    }
}
