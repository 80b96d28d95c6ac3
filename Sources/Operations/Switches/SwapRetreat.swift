import HostModel

extension Failure {
    /// What is said of a swap of the volume `name` that has failed because of this, once `goBack` has put the guest on its volume
    /// again, or could not.
    func afterGoingBack(of name: VolumeName, _ goBack: () async throws -> Void) async -> Failure {
        do { try await goBack() } catch {
            return Failure(
                .needsRecovery, what,
                why: "and what was begun cannot be taken back; the guest runs on, its data are whole",
                remedy: "when the cause is gone: xenlvs swap \(name) --to volume",
                causes: [self, Failure(error, doing: "cannot go back to the volume")])
        }
        var failure = self
        failure.why = [why, "the guest is on its volume as before"].compactMap(\.self).joined(separator: "; ")
        return failure
    }
}
