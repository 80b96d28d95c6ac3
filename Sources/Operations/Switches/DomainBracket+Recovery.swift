import HostModel

extension DomainBracket {
    /// Brings back what killed runs have left away. One line for each.
    func recover() async throws -> [DomainRepair] {
        var repairs: [DomainRepair] = []
        for open in try records() {
            let name = open.domain
            do {
                // One that is gone by then was brought back by the run that had it.
                let outcome = try await holding(name) { () async throws -> Outcome? in
                    guard let open = try record(name) else { return nil }
                    return try await goOn(open)
                }
                guard let outcome else { continue }
                repairs.append(DomainRepair(domain: name, words: outcome.words, needsOperator: false))
            } catch let failure as Failure where failure.code == .busy {
                let words = "another command is at work on it"
                repairs.append(DomainRepair(domain: name, words: words, needsOperator: false))
            } catch {
                let failure = Failure(error, doing: "cannot bring it back")
                    .outsideMigrations(next: "run 'xenlvs recover' again")
                let words = failure.description + "; its memory is in \(image(name).path)"
                repairs.append(DomainRepair(domain: name, words: words, needsOperator: true))
            }
        }
        return repairs
    }
}
