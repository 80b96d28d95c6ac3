import HostModel
import Testing

@testable import LVMHost

@Suite("LVM's command line")
struct LVMCommandLineTests {
    /// LVM's own splitting, as `lvm_split` of 2.03.16 does it.
    private func split(_ line: String) -> [String] {
        var arguments: [String] = []
        var rest = Array(line)[...]
        while true {
            rest = rest.drop(while: \.isWhitespace)
            guard let first = rest.first, first != "#" else { return arguments }
            let quote: Character? = first == "'" || first == "\"" ? first : nil
            if quote != nil { rest = rest.dropFirst() }
            let end = rest.firstIndex { quote == nil ? $0.isWhitespace : $0 == quote } ?? rest.endIndex
            arguments.append(String(rest[..<end]))
            rest = rest[end...].dropFirst()
        }
    }

    @Test(
        "LVM reads back every argument as it was given",
        arguments: [
            "xenlvs.volume=web1", "", "two words", "#tag", "a#b", "it's", "'", "\"", "say \"no\"", "tab\there", "a\nb",
            "lv_uuid=\"u\"&&lv_name=\"a\"", "\\",
        ])
    func roundTrip(_ argument: String) throws {
        let arguments = ["lvs", argument, "vg0"]
        #expect(split(try LVMCommandLine.joined(arguments)) == arguments)
    }

    @Test("An argument that LVM has no way to write is refused", arguments: ["it's \"x\"", "'\"", "#'\"", "a\0b"])
    func unwritable(_ argument: String) {
        #expect(throws: Failure.self) { try LVMCommandLine.joined(["lvs", argument]) }
    }

    @Test(
        "Only the LVM commands that xenlvs needs are run",
        arguments: [
            [], ["pvremove", "/dev/sda"], ["vgremove", "vg0"], ["_memlock_inc"], [" lvs"], ["LVS"], ["lvm", "lvs"],
        ])
    func verbs(_ arguments: [String]) {
        #expect(throws: Failure.self) { try LVMCommandLine.joined(arguments) }
    }

    @Test("As many arguments pass as LVM takes, and no more")
    func limit() throws {
        let most = ["lvs"] + Array(repeating: "x", count: 62)
        #expect(split(try LVMCommandLine.joined(most)).count == 63)
        #expect(throws: Failure.self) { try LVMCommandLine.joined(most + ["x"]) }
    }
}
