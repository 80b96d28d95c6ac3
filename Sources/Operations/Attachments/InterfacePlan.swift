import HostModel

/// The interfaces that Linux's AoE initiator uses. It has one list for all its targets. Pure.
enum InterfaceList: Sendable, Equatable {
    case all
    case only(Set<InterfaceName>)

    /// Reads `/sys/module/aoe/parameters/aoe_iflist`: names between white space, nothing for all.
    init(parameter: String) {
        let names = parameter.split(whereSeparator: \.isWhitespace).compactMap { try? InterfaceName(String($0)) }
        self = names.isEmpty ? .all : .only(Set(names))
    }

    /// What is written to the kernel: sorted, empty for all.
    var names: [InterfaceName] {
        switch self {
        case .all: []
        case .only(let names): names.sorted()
        }
    }

    func contains(_ name: InterfaceName) -> Bool {
        switch self {
        case .all: true
        case .only(let names): names.contains(name)
        }
    }

    /// The list that the kernel is to have: what every attachment wants, and what devices that others use are reached by.
    ///
    /// An interface that nobody needs is taken away: whoever answers on it would be taken for another path to a device.
    /// - Parameters:
    ///   - attachments: the interfaces of each, those of the new one among them. At least one.
    ///   - others: the interfaces of each device in use that is no attachment.
    static func needed(by attachments: [[InterfaceName]], others: [[InterfaceName]]) -> InterfaceList {
        .only(Set((attachments + others).joined()))
    }

    /// Interfaces that lead to guests, by the names that Xen's tools give them. A guest must not be able to pass for a
    /// target; who wants one all the same names its interface.
    static func leadsToGuest(_ name: String) -> Bool { name.hasPrefix("vif") || name.hasPrefix("tap") }
}
