import HostModel
import Migration

/// What a progress display knows: the phase under way, its freezes and its transfers. Pure; time is passed in, counted
/// from any fixed point.
public struct ProgressModel: Sendable, Equatable {
    public struct Phase: Sendable, Equatable {
        public enum State: Sendable, Equatable {
            case underWay
            case done
            case failed(Failure)
            /// The display was closed while a step was under way.
            case leftOff
        }

        public var phase: Step.Phase
        public var began: Duration
        /// When its last step ended, or now.
        public var until: Duration
        public var state: State
        /// The freezes that ended in it.
        public var freezes: [FreezeLength]
        /// What the image took, once it was sent.
        public var image: Transfer?
        var openStep: Step?
    }

    public struct FreezeLength: Sendable, Equatable {
        public var number: Int
        public var milliseconds: Int64
    }

    /// The domain does not run, since `began`.
    public struct OpenFreeze: Sendable, Equatable {
        public var number: Int
        public var began: Duration
    }

    /// Bytes on their way.
    public struct Transfer: Sendable, Equatable {
        public enum Kind: Sendable, Equatable {
            case sync(VolumeName)
            case verification(VolumeName)
            case image(sent: ByteCount)
        }

        public var kind: Kind
        public var done: ByteCount
        public var total: ByteCount
        /// Per second; nil while it cannot be told.
        public var rate: ByteCount?
        public var timeLeft: Duration?

        /// Between 0 and 1.
        public var share: Double {
            total.bytes > 0 ? min(1, max(0, Double(done.bytes) / Double(total.bytes))) : 1
        }
    }

    /// Something that a display shows for good.
    public enum Change: Sendable, Equatable {
        case phaseEnded(Phase)
        case freezeEnded(FreezeLength)
        case transferred(Transfer)
        case note(String)
    }

    public private(set) var current: Phase?
    public private(set) var openFreeze: OpenFreeze?
    /// One for each volume, and the image's, in the order of their first news.
    public private(set) var transfers: [Transfer] = []
    private var imageBegan: Duration?

    public init() {}

    /// Takes an update in; what it returns is to be shown for good, in this order.
    public mutating func apply(_ update: ProgressUpdate, at now: Duration) -> [Change] {
        switch update {
        case .stepBegan(let step): return stepBegan(step, now)
        case .stepEnded(let step):
            guard current?.openStep == step else { return [] }
            current?.openStep = nil
            current?.until = now
            return []
        case .stepFailed(let step, let failure):
            let begun = stepBegan(step, now)
            return begun + endPhase(.failed(failure), now)
        case .freezeBegan(let number):
            openFreeze = OpenFreeze(number: number, began: now)
            return []
        case .freezeEnded(let number, let milliseconds):
            let length = FreezeLength(number: number, milliseconds: milliseconds)
            openFreeze = nil
            current?.freezes.append(length)
            return [.freezeEnded(length)]
        case .sync(let volume, let done, let total, let rate, let timeLeft):
            return transfer(
                Transfer(kind: .sync(volume), done: done, total: total, rate: rate, timeLeft: timeLeft))
        case .verification(let volume, let done, let total, let rate, let timeLeft):
            return transfer(
                Transfer(kind: .verification(volume), done: done, total: total, rate: rate, timeLeft: timeLeft))
        case .image(let read, let total, let sent): return image(read, total, sent, now)
        case .note(let text): return [.note(text)]
        }
    }

    /// Nothing more will come: the phase under way ends as far as it got.
    public mutating func close(at now: Duration) -> [Change] {
        endPhase(current?.openStep == nil ? .done : .leftOff, now)
    }

    private mutating func stepBegan(_ step: Step, _ now: Duration) -> [Change] {
        var ended: [Change] = []
        if current?.phase != step.phase {
            ended = endPhase(.done, now)
            current = Phase(phase: step.phase, began: now, until: now, state: .underWay, freezes: [])
        }
        current?.openStep = step
        return ended
    }

    private mutating func endPhase(_ state: Phase.State, _ now: Duration) -> [Change] {
        guard var phase = current else { return [] }
        phase.state = state
        if phase.openStep != nil { phase.until = now }
        phase.image = transfers.last { if case .image = $0.kind { true } else { false } }
        current = nil
        transfers = []
        imageBegan = nil
        return [.phaseEnded(phase)]
    }

    private mutating func transfer(_ transfer: Transfer) -> [Change] {
        if let index = transfers.firstIndex(where: { $0.kind.subject == transfer.kind.subject }) {
            transfers[index] = transfer
        } else {
            transfers.append(transfer)
        }
        return [.transferred(transfer)]
    }

    private mutating func image(
        _ read: ByteCount, _ total: ByteCount, _ sent: ByteCount, _ now: Duration
    ) -> [Change] {
        let began = imageBegan ?? now
        imageBegan = began
        let rate = Format.bytesPerSecond(bytes: read.bytes, milliseconds: (now - began).wholeMilliseconds)
        // The image is a little larger than the memory it holds, so the total is a guess that may be overtaken.
        let left = max(0, total.bytes - read.bytes)
        let timeLeft = rate.flatMap { $0 > 0 ? Duration.milliseconds(left * 1_000 / $0) : nil }
        return transfer(
            Transfer(
                kind: .image(sent: sent), done: read, total: total, rate: rate.map { ByteCount($0) },
                timeLeft: timeLeft))
    }
}

extension ProgressModel.Transfer.Kind {
    /// What is transferred: one line of a display.
    var subject: String {
        switch self {
        case .sync(let volume), .verification(let volume): "volume \(volume)"
        case .image: "image"
        }
    }
}
