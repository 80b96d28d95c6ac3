import Testing

@testable import AoE

@Suite("What clients may change")
struct SaveBudgetTests {
    @Test("A burst is stored, and then no more than a few a second")
    func budget() {
        var budget = SaveBudget()
        let start: Int64 = 5_000_000_000_000
        func taken(_ tries: Int, at time: Int64) -> Int { (0..<tries).count { _ in budget.take(at: time) } }
        #expect(taken(1000, at: start) == 64)
        #expect(taken(1000, at: start + 50_000_000) == 0)
        #expect(taken(1000, at: start + 1_000_000_000) == 16)
        // Ten seconds with one try each millisecond.
        #expect((1...10_000).count { budget.take(at: start + 1_000_000_000 + Int64($0) * 1_000_000) } == 160)
        #expect(taken(1000, at: start + 1_000_000_000_000) == 64)
    }
}
