/// What `xenlvs migration report ID --format json` prints, as far as scenarios look at it. Written down here a second
/// time on purpose: the names are a contract with users.
package struct MigrationDocument: Decodable, Sendable {
    package let id: String
    package let domain: String
    /// three-freeze or one-freeze.
    package let method: String
    package let outcome: Outcome
    package let isCommitted: Bool
    package let domainRunsOn: String?
    /// By the coordinator's clock, since 1970.
    package let beginMilliseconds: Int
    package let untilMilliseconds: Int
    package let totalMilliseconds: Int
    package let frozenMilliseconds: Int
    package let phases: [Phase]
    package let freezes: [Freeze]
    package let volumes: [Volume]
    package let image: Image?
    package let runs: [Run]
    package let notes: [Note]

    package struct Outcome: Decodable, Sendable {
        /// running, suspended, needsRecovery, migrated or rolledBack.
        package let state: String
    }

    package struct Phase: Decodable, Sendable {
        /// prepare, substitute, synchronise, handOver, settle, tidyUp, rollBack or rescue.
        package let phase: String
        /// running, done, failed or interrupted.
        package let state: String
        package let milliseconds: Int
    }

    package struct Freeze: Decodable, Sendable {
        package let number: Int
        package let milliseconds: Int
        package let endMilliseconds: Int?
    }

    package struct Volume: Decodable, Sendable {
        package let name: String
        package let device: String
        package let sizeBytes: Int
        package let sync: Sync?
        package let verification: Verification?
        package let sha256: Checksums?
    }

    package struct Sync: Decodable, Sendable {
        package let copiedBytes: Int
        package let milliseconds: Int
    }

    package struct Verification: Decodable, Sendable {
        package let comparedBytes: Int
        package let differingBytes: Int
    }

    package struct Checksums: Decodable, Sendable {
        package let source: String
        package let target: String
        package let equal: Bool
    }

    package struct Image: Decodable, Sendable {
        package let sizeBytes: Int
        package let sentBytes: Int
    }

    package struct Run: Decodable, Sendable {
        package let resumed: Bool
        /// running, finished, suspended or lost.
        package let ending: String
    }

    package struct Note: Decodable, Sendable {
        package let text: String
    }
}

/// One of `xenlvs migration list --format json`.
package struct MigrationRow: Decodable, Sendable {
    package let id: String
    package let domain: String
    package let source: String
    package let target: String
    package let state: String
    package let runsOn: String?
}
