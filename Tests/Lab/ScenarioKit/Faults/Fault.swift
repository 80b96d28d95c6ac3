/// What goes wrong, as a person, a machine or a network would bring it about.
package enum Fault: String, Sendable, CaseIterable {
    case coordinatorKilled, coordinatorPaused, agentKilled, effectKilled
    case sourceOff, targetOff, bothOff
    case linkCut, linkInterrupted, linkDelayed, linkLossy, sshHangs
    case xlFails, xlHangs, drbdFails, drbdHangs, lvmFails, lvmHangs
    case stateFull, imagesFull
    case clockBack

    /// What happens, for people.
    package var title: String {
        switch self {
        case .coordinatorKilled: "the coordinator is killed"
        case .coordinatorPaused: "the coordinator stands still for a minute"
        case .agentKilled: "the target's agent is killed"
        case .effectKilled: "whatever performs a step is killed around one of its effects"
        case .sourceOff: "the source loses power"
        case .targetOff: "the target loses power"
        case .bothOff: "both hosts lose power"
        case .linkCut: "the link is cut"
        case .linkInterrupted: "the link is cut for five seconds"
        case .linkDelayed: "the link is slow (100 ms each way)"
        case .linkLossy: "the link loses 1 % of the packets"
        case .sshHangs: "`ssh` hangs"
        case .xlFails: "`xl` fails"
        case .xlHangs: "`xl` hangs"
        case .drbdFails: "`drbdsetup` fails"
        case .drbdHangs: "`drbdsetup` hangs"
        case .lvmFails: "LVM fails"
        case .lvmHangs: "LVM hangs"
        case .stateFull: "the state's file system is full"
        case .imagesFull: "the images' file system is full"
        case .clockBack: "the source's clock goes back an hour"
        }
    }

    /// Whether a case takes more than some seconds: a boot, a minute's pause, a time limit.
    package var isCostly: Bool {
        switch self {
        case .coordinatorPaused, .sourceOff, .targetOff, .bothOff, .linkCut, .sshHangs, .xlHangs, .drbdHangs, .lvmHangs:
            true
        case .coordinatorKilled, .agentKilled, .effectKilled, .linkInterrupted, .linkDelayed, .linkLossy, .xlFails,
            .drbdFails,
            .lvmFails, .stateFull, .imagesFull, .clockBack:
            false
        }
    }

    /// Whether a migration that is not decided may be led back for it.
    var leadsBack: Bool {
        switch self {
        case .coordinatorKilled, .coordinatorPaused, .effectKilled, .linkDelayed, .linkLossy, .clockBack: false
        case .agentKilled, .sourceOff, .targetOff, .bothOff, .linkCut, .linkInterrupted, .sshHangs, .xlFails, .xlHangs,
            .drbdFails, .drbdHangs, .lvmFails, .lvmHangs, .stateFull, .imagesFull:
            true
        }
    }

    /// Whether a host loses its memory.
    package var cutsPower: Bool { [.sourceOff, .targetOff, .bothOff].contains(self) }

    /// The program that is tampered with, and how.
    var tampering: (tool: TamperedTool, way: TamperedTool.Way)? {
        switch self {
        case .xlFails: (.xl, .fails)
        case .xlHangs: (.xl, .hangs)
        case .drbdFails: (.drbdsetup, .fails)
        case .drbdHangs: (.drbdsetup, .hangs)
        case .lvmFails: (.lvm, .fails)
        case .lvmHangs: (.lvm, .hangs)
        default: nil
        }
    }
}
