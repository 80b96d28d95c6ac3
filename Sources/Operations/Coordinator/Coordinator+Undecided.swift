import Domains
import HostModel
import Migration

/// What the source has of a domain that has been let run on its target.
enum GuestHere: Sendable, Hashable {
    case runs
    /// Let go by `xl migrate`: suspended, under its other name.
    case suspendedAway
    /// In a whole image that may still be restored.
    case saved
    case absent
    /// It is there, and does not run.
    case stopped(String)
    case unknown(String)
}

extension Coordinator {
    /// A failure that says that the domain runs on the target, with what there is of it here, and with what can be done: each
    /// host alone knows only half of it. Any other failure as it is.
    func tellingOfBothSides(_ failure: Failure) async -> Failure {
        guard failure.code == .runsUndecided else { return failure }
        return failure.tellingOf(await worker.guestHere(spec), spec)
    }
}

extension HostWorker {
    fileprivate func guestHere(_ spec: MigrationSpec) async -> GuestHere {
        do {
            switch try await observe(spec) {
            case .present(_, .active): return .runs
            case .present(_, let state): return .stopped(state.rawValue)
            case .absent:
                if try await away(spec) != nil { return .suspendedAway }
                return (try? newestImage(spec)) == nil ? .absent : .saved
            }
        } catch { return .unknown(Failure(error, doing: "cannot look for \(spec.domain)").description) }
    }
}

extension Failure {
    /// Only one of the two may go on. Which, and what becomes of the other, is for the operator to say: what is here knows
    /// nothing of what the other one has written meanwhile.
    func tellingOf(_ guest: GuestHere, _ spec: MigrationSpec) -> Failure {
        let (source, target, name) = (spec.source.name, spec.target.name, spec.domain)
        var failure = self
        failure.why = [why, guest.words(spec)].compactMap(\.self).joined(separator: "; ")
        let keep =
            "to keep it on \(target), switch \(source) off and type on \(target): "
            + "xenlvs migration resolve \(spec.id) --fenced \(source)"
        let ends = ["'xl destroy \(name)' on \(target)", guest.end(spec)].compactMap(\.self).joined(separator: ", ")
        let abort = "then 'xenlvs migration abort \(spec.id)'"
        failure.remedy =
            switch guest {
            case .runs, .unknown:
                "it must not run on both: \(ends) at once, \(abort), and check its file systems; or, \(keep)"
            case .suspendedAway, .saved, .absent, .stopped:
                "its disk is newer than any memory of it on \(source): \(keep); or, to keep the disk alone: \(ends), "
                    + "\(abort), then 'xl create' on \(source)"
            }
        return failure
    }
}

extension GuestHere {
    fileprivate func words(_ spec: MigrationSpec) -> String {
        let source = spec.source.name
        return switch self {
        case .runs: "on \(source) it runs as well"
        case .suspendedAway: "on \(source) it is suspended, as \(Self.away(spec))"
        case .saved: "on \(source) it is saved"
        case .absent: "on \(source) it is not there"
        case .stopped(let state): "on \(source) it is \(state)"
        case .unknown(let why): "how it is on \(source) is not known: \(why)"
        }
    }

    /// What ends the one here, whose memory nothing can be made of any more; nil where there is none, or where it is to stay.
    fileprivate func end(_ spec: MigrationSpec) -> String? {
        let source = spec.source.name
        return switch self {
        case .runs, .absent, .unknown: nil
        case .suspendedAway: "'xl destroy \(Self.away(spec))' on \(source)"
        case .saved: Self.removal(spec)
        case .stopped: "'xl destroy \(spec.domain)' on \(source), \(Self.removal(spec))"
        }
    }

    private static func removal(_ spec: MigrationSpec) -> String {
        "'rm -f /var/lib/xenlvs/images/\(spec.id).*' on \(spec.source.name)"
    }

    private static func away(_ spec: MigrationSpec) -> String {
        spec.domain.text + DomainListEntry.Handover.migratedAway.rawValue
    }
}
