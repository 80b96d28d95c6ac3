/// The restricted form of the key by which nodea reaches nodeb, as docs/operations.md gives it.
extension Hosts {
    /// A script for nodeb, after which nodea's key may move guests into one volume group and do nothing else.
    package static func restrictKey(into group: String) -> String {
        // The same key is this machine's own, which comes from another address.
        """
        set -e; [ -e /root/keys.away ] || cp -p /root/.ssh/authorized_keys /root/keys.away
        {
            printf 'restrict,from="10.77.0.1",command="xenlvs agent --restrict --from nodea --into \(group)" '
            cat /root/keys.away /root/keys.away
        } >/root/.ssh/authorized_keys
        """
    }

    /// A script that undoes it.
    package static let freeKey = "[ ! -e /root/keys.away ] || mv /root/keys.away /root/.ssh/authorized_keys"
}
