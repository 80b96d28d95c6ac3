import HostModel

/// Turns arguments into the one line that `lvm2_run` takes.
///
/// LVM splits the line itself (`lvm_split` in `tools/lvmcmdline.c`): at white space; an argument that begins with `'`
/// or `"` reaches to the next such mark; there is no escape; an argument that begins with `#` ends the line; fewer than
/// `MAX_ARGS` (64) arguments.
enum LVMCommandLine {
    /// The LVM commands that may be run at all. xenlvs makes and changes LVs; volume groups are the operator's.
    static let verbs: Set<String> = [
        "lvs", "vgs", "pvs", "lvcreate", "lvremove", "lvrename", "lvextend", "lvchange", "lvmconfig", "version",
        "vgcfgbackup", "vgcfgrestore",
    ]
    static let argumentLimit = 63

    /// The line for `arguments`, verb first. Throws `.usage` for a verb that is not on the list and for an argument
    /// that LVM's splitting cannot give back.
    static func joined(_ arguments: [String]) throws(Failure) -> String {
        guard let verb = arguments.first else { throw Failure(.usage, "cannot run LVM", why: "no command is given") }
        let what = "cannot run LVM's '\(verb)'"
        guard verbs.contains(verb) else {
            throw Failure(.usage, what, why: "xenlvs runs only \(verbs.sorted().joined(separator: ", "))")
        }
        guard arguments.count <= argumentLimit else {
            throw Failure(.usage, what, why: "\(arguments.count) arguments are more than LVM's \(argumentLimit)")
        }
        var words: [String] = []
        for argument in arguments {
            guard let word = quoted(argument) else {
                throw Failure(.usage, what, why: "LVM's command line has no way to write the argument '\(argument)'")
            }
            words.append(word)
        }
        return words.joined(separator: " ")
    }

    /// `argument` so that LVM reads it back as it is, or nil where that cannot be.
    private static func quoted(_ argument: String) -> String? {
        let bytes = argument.utf8
        if bytes.contains(0) { return nil }
        let hasMark = ["#", "'", "\""].contains(argument.prefix(1))
        if !bytes.isEmpty, !hasMark, !bytes.contains(where: isSpace) { return argument }
        return ["'", "\""].first { !argument.contains($0) }.map { "\($0)\(argument)\($0)" }
    }

    /// isspace(3) of the C locale.
    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
}
