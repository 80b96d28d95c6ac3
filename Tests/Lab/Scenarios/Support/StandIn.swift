import LabKit

extension LabNode {
    /// Puts a stand-in in the place of 'xl' that does something else first. It keeps the program's name, and what makes hosts
    /// clean knows where the real one is.
    func replaceXL(doing script: String) async throws {
        try await run(
            """
            set -e; mkdir -p /lab/real; real=$(readlink -f /usr/sbin/xl)
            mv /usr/sbin/xl /lab/real/xl.away
            # It may be a link itself, and a relative one.
            [ -e "$real" ] || real=/lab/real/xl.away
            ln -s "$real" /lab/real/xl
            cat >/usr/sbin/xl <<'END'
            #!/bin/dash
            \(script)
            exec /lab/real/xl "$@"
            END
            chmod 755 /usr/sbin/xl
            """)
    }

    func putXLBack() async throws { try await run("mv -f /lab/real/xl.away /usr/sbin/xl; rm -r /lab/real") }
}
