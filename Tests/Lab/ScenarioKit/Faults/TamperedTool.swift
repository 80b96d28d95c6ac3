import LabKit

/// A program of the hosts that is made to fail or to hang, once, at the next call that would change something.
package enum TamperedTool: String, Sendable {
    case xl
    case drbdsetup
    /// Hosted by the product's own binary, so it is met by LVM's configuration and its locks.
    case lvm

    package enum Way: String, Sendable { case fails, hangs }

    /// What marks that the program is to fail or to hang, and, once it is gone, that it did.
    private static let directory = "/lab/fault"

    /// Puts a stand-in in the place of the programs, which passes everything on until it is told to fail.
    static func install(on node: LabNode) async throws {
        try await installCrashes(on: node)
        for (tool, verbs) in [
            ("xl", "save|restore|unpause|pause|destroy|migrate|migrate-receive|rename|shutdown|create|dump-core"),
            (
                "drbdsetup",
                "new-resource|new-minor|attach|detach|connect|disconnect|primary|secondary|down|verify|disk-options"
            ),
        ] {
            // The program keeps its name: the product looks for processes by it.
            try await node.run(
                """
                set -e; mkdir -p /lab/real \(directory)
                [ ! -e /lab/real/\(tool) ] || exit 0
                real=$(readlink -f /usr/sbin/\(tool))
                mv /usr/sbin/\(tool) /lab/real/\(tool).away
                # Some are links themselves, and these are relative.
                [ -e "$real" ] || real=/lab/real/\(tool).away
                ln -s "$real" /lab/real/\(tool)
                cat >/usr/sbin/\(tool) <<'END'
                #!/bin/dash
                \(ForcedPromotion.note(to: "\(directory)/forced"))
                case $1 in
                \(verbs))
                    if [ -e \(directory)/\(tool).fails ]; then
                        rm \(directory)/\(tool).fails
                        echo "\(tool): made to fail by the lab" >&2
                        exit 1
                    elif mv \(directory)/\(tool).hangs \(directory)/\(tool).hanging 2>/dev/null; then
                        echo $$ >\(directory)/\(tool).hanging
                        kill -STOP $$
                    fi ;;
                esac
                exec /lab/real/\(tool) "$@"
                END
                chmod 755 /usr/sbin/\(tool)
                """)
        }
        // A power cut within the half minute that ext4 may keep new data in memory leaves an empty file, which the shell takes
        // for a program that does nothing and succeeds: an agent that ends without a word.
        try await node.run("sync -f /usr/sbin /lab/real")
    }

    /// A script that puts the programs and LVM's configuration back.
    static let removal = """
        for tool in /lab/real/*.away; do
            [ -L $tool -o -e $tool ] || continue
            name=${tool##*/} place=/usr/sbin
            [ $name != xenlvs.away ] || place=/usr/bin
            mv -f $tool $place/${name%.away}
        done
        [ ! -e /lab/lvm.conf ] || mv /lab/lvm.conf /etc/lvm/lvm.conf
        rm -rf /lab/real \(directory)
        """

    /// What was promoted by force on this host since the stand-ins came, or since it was last asked for.
    static func forcedPromotions(on node: LabNode) async throws -> [ForcedPromotion] {
        let text = try await node.run(
            "cat \(directory)/forced 2>/dev/null; rm -f \(directory)/forced", check: false
        ).stdout
        return text.split(separator: "\n").compactMap { ForcedPromotion(line: String($0)) }
    }

    /// A stand-in for the product that hands a place to crash at to whatever process of it is started.
    private static func installCrashes(on node: LabNode) async throws {
        try await node.run(
            """
            set -e; mkdir -p /lab/real \(directory)
            [ ! -e /lab/real/xenlvs ] || exit 0
            mv \(ProductUnderTest.path) /lab/real/xenlvs.away; ln -s /lab/real/xenlvs.away /lab/real/xenlvs
            cat >\(ProductUnderTest.path) <<'END'
            #!/bin/dash
            [ ! -e \(directory)/crash ] || export XENLVS_CRASH_AT="$(cat \(directory)/crash)"
            exec /lab/real/xenlvs "$@"
            END
            chmod 755 \(ProductUnderTest.path)
            """)
    }

    /// Has the product's processes crash at a place from now on; nowhere for nil.
    static func setCrash(at place: FaultPlace?, on node: LabNode) async throws {
        let script = place.map { "mkdir -p \(directory); echo \($0) >\(directory)/crash" } ?? "rm -f \(directory)/crash"
        try await node.run(script)
    }

    func arm(_ way: Way, on node: LabNode) async throws {
        switch (self, way) {
        case (.xl, _), (.drbdsetup, _):
            try await node.run("mkdir -p \(Self.directory); touch \(Self.directory)/\(rawValue).\(way.rawValue)")
        case (.lvm, .fails):
            try await node.run(
                "cp /etc/lvm/lvm.conf /lab/lvm.conf; echo 'global/metadata_read_only=1' >>/etc/lvm/lvm.conf")
        case (.lvm, .hangs):
            try await node.run(
                """
                mkdir -p /run/lock/lvm
                setsid flock -x /run/lock/lvm/V_vg0 sleep 600 >/dev/null 2>&1 & echo $! >\(Self.directory)/lvm.hanging
                """)
        }
    }

    /// Lets it work again. A call that hangs goes on: late, as one of a machine that was slow. A power cut that follows must
    /// not bring the fault back, so that its end is synced to the disk.
    ///
    /// - Returns: whether a call was met; for LVM, which does not tell, true.
    func disarm(_ way: Way, on node: LabNode) async throws -> Bool {
        let directory = Self.directory
        switch (self, way) {
        case (.xl, .fails), (.drbdsetup, .fails):
            return try await node.run("rm \(directory)/\(rawValue).fails && sync \(directory)", check: false).exit != 0
        case (.xl, .hangs), (.drbdsetup, .hangs):
            return try await node.run(
                """
                rm -f \(directory)/\(rawValue).hangs; sync \(directory)
                [ -e \(directory)/\(rawValue).hanging ] || exit 1
                kill -CONT $(cat \(directory)/\(rawValue).hanging); rm \(directory)/\(rawValue).hanging
                """, check: false
            ).exit == 0
        case (.lvm, .fails):
            try await node.run("[ ! -e /lab/lvm.conf ] || mv /lab/lvm.conf /etc/lvm/lvm.conf; sync /etc/lvm /lab")
            return true
        case (.lvm, .hangs):
            try await node.run(
                """
                [ -e \(directory)/lvm.hanging ] || exit 0
                kill -- -$(cat \(directory)/lvm.hanging) 2>/dev/null; rm \(directory)/lvm.hanging
                """)
            return true
        }
    }
}
