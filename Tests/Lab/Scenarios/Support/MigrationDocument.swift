/// What `xenlvs migration report ID --format json` prints, as far as scenarios look at it. Written down here a second
/// time on purpose: the names are a contract with users.
struct MigrationDocument: Decodable, Sendable {
    let id: String
    let domain: String
    let outcome: Outcome
    let isCommitted: Bool
    let domainRunsOn: String?
    /// By the coordinator's clock, since 1970.
    let beginMilliseconds: Int
    let untilMilliseconds: Int
    let totalMilliseconds: Int
    let frozenMilliseconds: Int
    let phases: [Phase]
    let freezes: [Freeze]
    let volumes: [Volume]
    let image: Image?
    let runs: [Run]
    let notes: [Note]

    struct Outcome: Decodable, Sendable {
        /// running, suspended, needsRecovery, migrated or rolledBack.
        let state: String
    }

    struct Phase: Decodable, Sendable {
        /// prepare, substitute, synchronise, handOver, settle, tidyUp, rollBack or rescue.
        let phase: String
        /// running, done, failed or interrupted.
        let state: String
        let milliseconds: Int
    }

    struct Freeze: Decodable, Sendable {
        let number: Int
        let milliseconds: Int
        let endMilliseconds: Int?
    }

    struct Volume: Decodable, Sendable {
        let name: String
        let device: String
        let sizeBytes: Int
        let sync: Sync?
        let verification: Verification?
        let sha256: Checksums?
    }

    struct Sync: Decodable, Sendable {
        let copiedBytes: Int
        let milliseconds: Int
    }

    struct Verification: Decodable, Sendable {
        let comparedBytes: Int
        let differingBytes: Int
    }

    struct Checksums: Decodable, Sendable {
        let source: String
        let target: String
        let equal: Bool
    }

    struct Image: Decodable, Sendable {
        let sizeBytes: Int
        let sentBytes: Int
    }

    struct Run: Decodable, Sendable {
        let resumed: Bool
        /// running, finished, suspended or lost.
        let ending: String
    }

    struct Note: Decodable, Sendable {
        let text: String
    }
}

/// One of `xenlvs migration list --format json`.
struct MigrationRow: Decodable, Sendable {
    let id: String
    let domain: String
    let source: String
    let target: String
    let state: String
    let runsOn: String?
}
