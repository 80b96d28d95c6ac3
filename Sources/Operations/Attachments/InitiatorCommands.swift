import AoE
import HostModel

/// What steers Linux's AoE initiator, as values. Nothing is run here.
enum InitiatorCommands {
    /// How long a write to a control file may take before its outcome is unknown. They are short while targets answer.
    private static let patience = Duration.seconds(20)

    /// Loads the module. It looks for targets at once, so the interfaces have to be known before.
    static func load(_ interfaces: [InterfaceName]) -> Command {
        // The kernel takes a parameter with blanks in quotes (`parse_args`, kernel/params.c).
        .mutation(.modprobe, "aoe", "aoe_iflist=\"\(text(interfaces))\"")
    }

    /// Refused by the kernel while a device of its is open.
    static let unload = Command.mutation(.modprobe, "-r", "aoe")

    /// Sets the interfaces that the initiator uses, in place of those that it had; none for all.
    static func setInterfaces(_ interfaces: [InterfaceName]) -> Command {
        .mutation(.aoeControl, InitiatorControl.interfaces.rawValue, text(interfaces), deadline: patience)
    }

    /// Asks everybody on the wire for targets.
    static let discover = Command.mutation(.aoeControl, InitiatorControl.discover.rawValue, "", deadline: patience)

    /// Makes the kernel ask a target for its size again, also while it is open.
    static func revalidate(_ address: AoEAddress) -> Command {
        .mutation(.aoeControl, InitiatorControl.revalidate.rawValue, address.description, deadline: patience)
    }

    /// Takes a device away from the kernel. Never to be run while anything has it open; see `DeviceUse`.
    static func forget(_ address: AoEAddress) -> Command {
        .mutation(.aoeControl, InitiatorControl.flush.rawValue, address.description, deadline: patience)
    }

    /// Writes back what the host still has of a device in its memory.
    static func writeBack(_ node: String) -> Command {
        .mutation(.blockdev, "--flushbufs", node, deadline: patience)
    }

    static func text(_ interfaces: [InterfaceName]) -> String { interfaces.map(\.text).joined(separator: " ") }
}
