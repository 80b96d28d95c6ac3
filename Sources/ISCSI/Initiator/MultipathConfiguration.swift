import HostModel

/// What multipathd is told about volumes: a file of its own in `/etc/multipath/conf.d` (multipath.conf(5),
/// multipath-tools 0.9.4), so that the operator's file stays as it is.
public struct MultipathConfiguration: Sendable, Equatable {
    public static let path = "/etc/multipath/conf.d/xenlvs.conf"

    public struct Map: Sendable, Equatable {
        public var volume: VolumeName
        /// As `DiskIdentity` has it.
        public var wwid: String

        public init(volume: VolumeName, wwid: String) {
            self.volume = volume
            self.wwid = wwid
        }
    }

    /// Maps that multipathd is to make, each under its volume's name.
    public var maps: [Map]
    /// Disks that it must not touch, by their WWID: those that are used by one path alone.
    public var keptAway: [String]

    public init(maps: [Map], keptAway: [String] = []) {
        self.maps = maps
        self.keptAway = keptAway
    }

    /// How often a path is asked for before requests fail, where none is left. Not for ever: a map whose requests wait
    /// cannot be taken away.
    private static let retries = 12

    /// How long a lost session is waited for. multipathd writes its own time over the one that the session was logged
    /// in with (`sysfs_set_session_tmo`, libmultipath/discovery.c), five seconds where it is told nothing, so that it
    /// is told the same. That has no place in 'multipaths'; by protocol, which 0.9.0 was the first to know, it is for
    /// iSCSI alone. It counts as long as it is below 'dev_loss_tmo', which multipathd never has below 'no_path_retry'
    /// times 'polling_interval'.
    private static let sessions = [
        "overrides {", "    protocol {", "        type \"scsi:iscsi\"",
        "        fast_io_fail_tmo \(SessionProfile.multipath.replacementSeconds)", "    }", "}",
    ]

    /// What the file holds. The parser needs a new line after each opening and before each closing brace.
    public var text: String {
        var lines = ["# Written by xenlvs; changes are lost."]
        if !maps.isEmpty {
            // A LUN that leads to another disk when a path comes back. It has no place in 'multipaths'; what the operator has set
            // in 'devices' or 'overrides' goes before it.
            lines += ["defaults {", "    recheck_wwid yes", "}"]
            lines += Self.sessions
        }
        if !keptAway.isEmpty {
            lines += ["blacklist {"] + keptAway.map { "    wwid \"^\($0)$\"" } + ["}"]
        }
        if !maps.isEmpty {
            lines += ["blacklist_exceptions {"] + maps.map { "    wwid \"^\($0.wwid)$\"" } + ["}"]
            lines.append("multipaths {")
            for map in maps {
                lines += [
                    "    multipath {", "        wwid \(map.wwid)", "        alias \(map.volume)",
                    "        path_grouping_policy multibus", "        path_selector \"service-time 0\"",
                    "        failback immediate", "        no_path_retry \(Self.retries)", "    }",
                ]
            }
            lines.append("}")
        }
        return lines.map { $0 + "\n" }.joined()
    }
}
