import ScenarioKit
import Testing

@Suite("What a conformance suite says of a target")
struct ConformanceTests {
    /// Pieces of real output, of tgt and of LIO.
    private static let text = """
             CUnit - A unit testing framework for C - Version 2.1-3

        Suite: CompareAndWrite
          Test: Simple ...passed
          Test: DpoFua ...    [SKIPPED] REPORT_SUPPORTED_OPCODES is not implemented.
        passed
          Test: Miscompare ...FAILED
            1. test_compareandwrite_miscompare.c:92  - CU_ASSERT_NOT_EQUAL(ret,-1)
        Suite: Reserve6
          Test: Simple ...passed
          Test: 2Initiators ...    Take out a RESERVE6 from the first initiator
            [FAILED] MODESENSE6 successful but should have failed with NO SENSE(0x00)/NO ASCQ(0x0000)
            RELEASE6 from the first initiator
        FAILED
            1. test_reserve6_2initiators.c:71  - CU_ASSERT_EQUAL(ret,0)
          Test: Logout ...    Send a RESERVE6
            Logout
        passed
          Test: LUNReset ...passed    [FAILED] PRIN command: failed with sense. SENSE KEY:UNIT_ATTENTION(6)

        Run Summary:    Type  Total    Ran Passed Failed Inactive
                       tests      7      7      5      2        0
        """

    @Test("Each test has its first outcome, also behind a message or before one")
    func outcomes() {
        let run = ConformanceRun(Self.text)
        #expect(
            run.outcomes == [
                "CompareAndWrite.Simple": .passed, "CompareAndWrite.DpoFua": .skipped,
                "CompareAndWrite.Miscompare": .failed, "Reserve6.Simple": .passed, "Reserve6.2Initiators": .failed,
                "Reserve6.Logout": .passed, "Reserve6.LUNReset": .passed,
            ])
        #expect(run.summary == "4 passed, 2 failed, 1 skipped")
        #expect(run.failures == ["CompareAndWrite.Miscompare", "Reserve6.2Initiators"])
        #expect(ConformanceRun("").outcomes.isEmpty)
    }

    @Test("The tables have the research's counts, and 230 tests")
    func tables() {
        #expect(ConformanceTable.lio.summary == "123 passed, 16 failed, 91 skipped")
        #expect(ConformanceTable.tgt.summary == "160 passed, 8 failed, 62 skipped")
        for table in ConformanceTable.all {
            #expect(table.passed + table.failures.count + table.skipped == 230)
            #expect(table.wavering.isSubset(of: table.failures))
            #expect(table.dependingOnStorage.isDisjoint(with: table.failures))
        }
    }

    /// A run of as many tests as there are, of which these fail.
    private func run(failing names: Set<String>, of count: Int = 230) -> ConformanceRun {
        let lines = names.map { name in
            let parts = name.split(separator: ".")
            return "Suite: \(parts[0])\n  Test: \(parts[1]) ...FAILED\n"
        }
        let rest = (0..<(count - names.count)).map { "  Test: t\($0) ...passed\n" }
        return ConformanceRun(lines.joined() + "Suite: rest\n" + rest.joined())
    }

    @Test("What the research's disk fails an export may fail, or some of it, and nothing else")
    func objections() {
        let known = ConformanceTable.tgt.failures
        #expect(ConformanceTable.tgt.objections(to: run(failing: known)).isEmpty)
        #expect(ConformanceTable.tgt.objections(to: run(failing: [])).isEmpty)
        let worse = ConformanceTable.tgt.objections(to: run(failing: known.union(["Reserve6.Logout"])))
        #expect(worse.count == 1 && worse[0].contains("Reserve6.Logout"), "\(worse)")
        // LIO's own is not tgt's.
        #expect(ConformanceTable.lio.objections(to: run(failing: known)).count == 7)
        let residual: Set<String> = ["iSCSIResiduals.Read10Residuals"]
        #expect(ConformanceTable.lio.objections(to: run(failing: residual)).isEmpty)
        #expect(ConformanceTable.tgt.objections(to: run(failing: residual)).count == 1)
        let cut = ConformanceTable.tgt.objections(to: run(failing: known, of: 100))
        #expect(cut == ["100 tests have an outcome, 230 had one in the research"])
    }
}
