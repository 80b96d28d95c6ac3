import HostModel
import Migration

/// What a migration did and took, built from its specification and its events alone.
///
/// Its JSON form is a contract: field names stay, units are in the names. Points in time are milliseconds since 1970 by
/// the coordinator's clock; a field whose value is not known, or not yet, is absent.
public struct MigrationReport: Sendable, Codable, Equatable {
    public var id: MigrationID
    public var domain: DomainName
    public var source: HostName
    public var target: HostName
    public var method: MigrationPlan.Method
    public var settlement: MigrationPlan.Settlement
    public var memoryBytes: Int64
    public var outcome: Outcome
    /// Whether the domain belongs to the target: the commit decision was taken.
    public var isCommitted: Bool
    /// The host that the domain runs on; absent while it is frozen, and where it was lost.
    public var domainRunsOn: HostName?
    public var beginMilliseconds: Int64
    /// When it was finished; absent while it can go on.
    public var endMilliseconds: Int64?
    /// The last moment that the report knows of.
    public var untilMilliseconds: Int64
    /// From the beginning to the end, or to `untilMilliseconds`, with everything between.
    public var totalMilliseconds: Int64
    /// The freezes that have ended, summed up.
    public var frozenMilliseconds: Int64
    public var phases: [PhaseSpan]
    public var freezes: [FreezeSpan]
    public var volumes: [VolumeCopy]
    /// The last image that arrived whole.
    public var image: Image?
    public var runs: [Run]
    public var failures: [StepFailure]
    public var notes: [Note]
    public var ownTime: OwnTime?
    /// The host that the operator has declared dead; absent where none was.
    public var declaredDead: HostName?
    /// The host whose restart took the domain's memory with it; absent where none did. Whether the domain was started again
    /// since is not known here.
    public var memoryLostOn: HostName?
    /// The disks that both hosts have; absent where they are copied.
    public var sharedDisks: [SharedDisk]?

    public struct SharedDisk: Sendable, Codable, Equatable {
        public var name: VolumeName
        /// The guest's name for the disk: `xvda`.
        public var device: String
        public var sizeBytes: Int64
    }

    public struct Outcome: Sendable, Codable, Equatable {
        public enum State: String, Sendable, Codable, CaseIterable {
            /// Under way, or left by a coordinator that died without a word.
            case running
            case suspended, needsRecovery, migrated, rolledBack
            /// The domain went with a host that was declared dead; the notes say what is left of its disks.
            case lost

            var isFinal: Bool {
                switch self {
                case .running, .suspended, .needsRecovery: false
                case .migrated, .rolledBack, .lost: true
                }
            }
        }

        public var state: State
        /// Why it was suspended, rolled back or given up.
        public var reason: Failure?
    }

    /// A stretch of steps of one phase within one run. A resumed migration may have several of a phase.
    public struct PhaseSpan: Sendable, Codable, Equatable {
        public enum State: String, Sendable, Codable {
            case running, done, failed
            /// Its run ended in the middle of it.
            case interrupted
        }

        public var phase: Step.Phase
        public var state: State
        public var beginMilliseconds: Int64
        /// Absent while it runs.
        public var endMilliseconds: Int64?
        /// Its length, up to the report's last moment while it runs.
        public var milliseconds: Int64
    }

    /// A time in which the domain did not run.
    public struct FreezeSpan: Sendable, Codable, Equatable {
        /// The freeze's number in the procedure.
        public var number: Int
        /// The phase in which it began.
        public var phase: Step.Phase
        public var beginMilliseconds: Int64
        /// Absent while the domain is still frozen.
        public var endMilliseconds: Int64?
        /// Its length, up to the report's last moment while it is open.
        public var milliseconds: Int64
        /// The runs it lasted over; more than one where a run ended in it.
        public var runs: Int

        public var isOpen: Bool { endMilliseconds == nil }
    }

    public struct VolumeCopy: Sendable, Codable, Equatable {
        public var name: VolumeName
        /// The guest's name for the disk: `xvda`.
        public var device: String
        public var sizeBytes: Int64
        public var sourcePlace: String
        public var targetPlace: String
        public var sync: Sync?
        public var verification: Verification?
        /// SHA-256 of both copies while nothing wrote to them.
        public var sha256: Checksums?
    }

    /// What the resynchronisations of a volume copied, those of all runs together.
    public struct Sync: Sendable, Codable, Equatable {
        public var copiedBytes: Int64
        /// How much of it was copied by runs that ended before they could say how long it took; nil where there is none. The
        /// time and the rate are those of the rest.
        public var unmeasuredBytes: Int64?
        public var milliseconds: Int64
        public var bytesPerSecond: Int64?
        /// When the last one was complete.
        public var endMilliseconds: Int64
    }

    /// The last comparison block by block.
    public struct Verification: Sendable, Codable, Equatable {
        public var comparedBytes: Int64
        public var differingBytes: Int64
    }

    public struct Checksums: Sendable, Codable, Equatable {
        public var source: String
        public var target: String
        public var equal: Bool
    }

    /// The saved domain on its way to the target.
    public struct Image: Sendable, Codable, Equatable {
        public var sizeBytes: Int64
        /// After compression.
        public var sentBytes: Int64
        /// What had been sent before, while the domain ran; not part of `sentBytes`.
        public var aheadBytes: Int64?
        /// What is left of the size without that, by what was sent.
        public var compressionRatio: Double?
        public var milliseconds: Int64
        /// Of the image, not of what was sent.
        public var bytesPerSecond: Int64?
    }

    /// One run of a coordinator, from taking the migration over to its end.
    public struct Run: Sendable, Codable, Equatable {
        public enum Ending: String, Sendable, Codable {
            case running, finished, suspended
            /// It died without a word; its last event is taken for its end.
            case lost
        }

        public var epoch: Int64
        public var resumed: Bool
        public var beginMilliseconds: Int64
        public var endMilliseconds: Int64?
        public var ending: Ending
        public var reason: Failure?
    }

    public struct StepFailure: Sendable, Codable, Equatable {
        public var atMilliseconds: Int64
        public var step: Step
        public var failure: Failure
    }

    public struct Note: Sendable, Codable, Equatable {
        public var atMilliseconds: Int64
        public var text: String
    }

    /// The time that xenlvs itself took, outside the commands it ran and waited for; all runs together.
    public struct OwnTime: Sendable, Codable, Equatable {
        public var ownMilliseconds: Int64
        public var accountedMilliseconds: Int64
        /// Of 1.
        public var share: Double?
    }
}
