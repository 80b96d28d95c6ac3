/// What one run of libiscsi's suite found at one disk (`iscsi-test-cu` 1.19, package libiscsi-bin).
package struct ConformanceRun: Sendable, Equatable {
    package enum Outcome: String, Sendable, CaseIterable { case passed, failed, skipped }

    /// By suite and test: `Reserve6.Logout`.
    package let outcomes: [String: Outcome]

    /// - Parameter text: what the program has written, both outputs in one. CUnit calls passed what a test has skipped: of a
    ///   test's outcomes the first counts.
    package init(_ text: String) {
        var (suite, test) = ("", "")
        var outcomes: [String: Outcome] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.first == "Suite:" { suite = words.last.map(String.init) ?? "" }
            if words.first == "Test:", words.count > 1 { test = "\(suite).\(words[1])" }
            guard !test.isEmpty, outcomes[test] == nil, let outcome = Self.outcome(in: line) else { continue }
            outcomes[test] = outcome
        }
        self.outcomes = outcomes
    }

    private static func outcome(in line: Substring) -> Outcome? {
        if line.contains("[SKIPPED]") { return .skipped }
        // Alone on its line, behind the test's name, or behind or before a message: "Test: LUNReset ...passed    [FAILED] PRIN".
        func says(_ word: String) -> Bool {
            line.hasPrefix(word) || line.hasSuffix(word) || line.contains("...\(word)")
        }
        return says("FAILED") ? .failed : says("passed") ? .passed : nil
    }

    package var failures: Set<String> { Set(outcomes.filter { $0.value == .failed }.keys) }

    package func count(_ outcome: Outcome) -> Int { outcomes.values.count { $0 == outcome } }

    /// `160 passed, 8 failed, 62 skipped`.
    package var summary: String {
        Outcome.allCases.map { "\(count($0)) \($0.rawValue)" }.joined(separator: ", ")
    }
}
