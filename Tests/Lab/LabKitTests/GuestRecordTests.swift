import Testing

@testable import LabKit

/// The checker of a guest's evidence must notice each kind of damage: a lab that finds everything in order proves
/// nothing otherwise.
@Suite struct GuestRecordTests {
    private func disk(_ counter: String, boots: String = "one", stamps: String = "exit 0") -> GuestDisk {
        GuestDisk(listing: "boots\n\(boots)\ncounter\n\(counter)\nstamps\n\(stamps)\n", isSound: true, report: "")
    }

    private let console = GuestConsole("boot one\r\ntick 1 100\r\ntick 2 300\r\ntick 3 900\r\n")

    @Test func everythingInOrder() {
        #expect(disk("1 100\n2 300\n3 900").problems(given: console).isEmpty)
        #expect(console.longestGap == 600)
    }

    @Test func durableNumbersThatWereNotPrintedAreNoProblem() {
        #expect(disk("1 100\n2 300\n3 900\n4 1100").problems(given: console).isEmpty)
    }

    @Test(arguments: [
        ("1 100\n3 900", "on the disk 1 is followed by 3"),
        ("1 100\n2 300\n2 300\n3 900", "on the disk 2 is followed by 2"),
        ("1 100\n2 300", "tick 3 at 900 ms was printed and is not on the disk"),
        ("1 100\n2 300\n3 901", "tick 3 at 900 ms was printed and is not on the disk"),
        ("1 100\n2 300\n3 900\nxyz", "garbage in the counter file: xyz"),
    ])
    func damage(counter: String, problem: String) {
        #expect(disk(counter).problems(given: console).contains(problem))
    }

    @Test func aWrongStampIsNoticed() {
        let wrong = disk("1 100\n2 300\n3 900", stamps: "block 7 holds an old stamp\nexit 1")
        #expect(wrong.problems(given: console) == ["in the stamped blocks: block 7 holds an old stamp"])
        #expect(disk("1 100", stamps: "exit 3").stamps == nil)
        #expect(disk("1 100", stamps: "exit 2").stamps == ["the check of the stamps ended with exit 2"])
    }

    @Test func aSecondBootIsNoticed() {
        let twice = disk("1 100\n2 300\n3 900", boots: "one\ntwo")
        #expect(twice.problems(given: console).contains("2 boots, not 1"))
    }

    @Test func twoHostsThatBothRanTheGuestAreNoticed() {
        let other = GuestConsole("tick 3 950\r\n")
        let problems = disk("1 100\n2 300\n3 900").problems(given: console.followed(by: other))
        #expect(problems.contains("on the console 3 is followed by 3"))
    }

    @Test func linesThatNobodyReadAreNoticed() {
        let problems = disk("1 100\n2 300\n3 900").problems(
            given: console.followed(by: GuestConsole("tick 29 9000\r\n")))
        #expect(problems.contains("the console shows nothing between 3 and 29"))
        let few = disk("1 100\n2 300\n3 900").problems(given: console.followed(by: GuestConsole("tick 28 9000\r\n")))
        #expect(!few.contains { $0.hasPrefix("the console shows nothing") })
    }

    @Test func errorsAndCutLines() {
        let console = GuestConsole("tick 1 100\r\nguest-error write 2 200\r\ntick 3 3")
        #expect(console.ticks == [Tick(number: 1, uptime: 100)])
        #expect(console.errors == ["guest-error write 2 200"])
    }

    @Test func aDamagedFileSystemIsNoticed() {
        let damaged = GuestDisk(listing: "", isSound: false, report: "bad")
        #expect(damaged.problems(given: console) == ["the file system is damaged: bad"])
    }
}
