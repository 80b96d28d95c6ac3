import HostModel

/// A node record of open-iscsi: one way to one target (usr/idbm.c). Its text holds secrets, and is written as a file of
/// mode 0600 and not by `iscsiadm`, which takes them only as arguments.
public struct NodeRecord: Sendable, Equatable {
    public static let directory = "/etc/iscsi/nodes"

    public var target: ISCSIName
    public var portal: Portal
    /// The portal group's tag, as discovery tells it.
    public var groupTag: Int
    /// The network interface that the session is bound to; nil for the one that the route takes.
    public var interface: String?
    public var credentials: CHAPCredentials?
    public var profile: SessionProfile

    public init(
        target: ISCSIName, portal: Portal, groupTag: Int = 1, interface: String? = nil,
        credentials: CHAPCredentials? = nil, profile: SessionProfile = .multipath
    ) {
        self.target = target
        self.portal = portal
        self.groupTag = groupTag
        self.interface = interface
        self.credentials = credentials
        self.profile = profile
    }

    /// The name that open-iscsi knows the binding by.
    public var interfaceName: String { interface.map { "xenlvs.\($0)" } ?? "default" }

    /// Where open-iscsi looks for it: `TARGET/ADDRESS,PORT,TAG/INTERFACE` (idbm.c, idbm_rec_write_new).
    public var path: String {
        "\(Self.directory)/\(target)/\(portal.address),\(portal.port),\(groupTag)/\(interfaceName)"
    }

    /// What the record's file holds. Sessions are begun by xenlvs, not at boot by open-iscsi: a disk is checked first.
    public var text: String {
        var values: [(key: String, value: String)] = [
            ("node.name", target.text), ("node.tpgt", "\(groupTag)"), ("node.startup", "manual"),
            ("node.leading_login", "No"), ("iface.iscsi_ifacename", interfaceName),
        ]
        if let interface { values.append(("iface.net_ifacename", interface)) }
        values += [
            ("iface.transport_name", "tcp"), ("node.discovery_type", "static"),
            ("node.conn[0].address", portal.address), ("node.conn[0].port", "\(portal.port)"),
            ("node.conn[0].startup", "manual"), ("node.session.nr_sessions", "1"),
            // Rescans find what other volumes' targets have, too: only what is asked for is looked at.
            ("node.session.scan", "auto"),
        ]
        values += authentication + profile.values
        return "# BEGIN RECORD 2.1.8\n" + values.map { "\($0.key) = \($0.value)\n" }.joined() + "# END RECORD\n"
    }

    private var authentication: [(key: String, value: String)] {
        let prefix = "node.session.auth"
        guard let credentials else { return [("\(prefix).authmethod", "None")] }
        var values = [
            ("\(prefix).authmethod", "CHAP"), ("\(prefix).username", credentials.initiator.user),
            ("\(prefix).password", credentials.initiator.secret.text),
        ]
        if let account = credentials.target {
            values += [("\(prefix).username_in", account.user), ("\(prefix).password_in", account.secret.text)]
        }
        return values
    }

    /// Where the binding to the interface is described, with what it holds; nil where there is none.
    public var binding: (path: String, text: String)? {
        interface.map { interface in
            (
                "/etc/iscsi/ifaces/\(interfaceName)",
                """
                # BEGIN RECORD 2.1.8
                iface.iscsi_ifacename = \(interfaceName)
                iface.net_ifacename = \(interface)
                iface.transport_name = tcp
                # END RECORD

                """
            )
        }
    }
}
