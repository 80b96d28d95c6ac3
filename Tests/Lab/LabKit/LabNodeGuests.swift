import Foundation

/// Volumes and guests on a node, by LVM's and Xen's own commands.
extension LabNode {
    /// Makes a logical volume in vg0, with an empty ext4 unless `format` is off, and its link in `/dev/xenlvs`.
    public func makeVolume(_ name: String, megabytes: Int = 256, format: Bool = true, link: Bool = true) async throws {
        var script = "set -e; lvcreate -qq -y -Wn -L \(megabytes)M -n \(name) vg0\n"
        // Without lazy initialisation the guest has the disk for itself from its first tick.
        if format { script += "mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/vg0/\(name)\n" }
        if link { script += "mkdir -p /dev/xenlvs; ln -sfn /dev/vg0/\(name) /dev/xenlvs/\(name)\n" }
        try await run(script)
    }

    /// Writes the guest's configuration to the node.
    public func define(_ guest: LabGuest) async throws {
        try await run("cat >\(guest.configurationPath)", input: Data(guest.configuration.utf8))
    }

    /// Defines and starts a guest, and waits for its first tick after that.
    public func create(_ guest: LabGuest) async throws {
        try await define(guest)
        let before = try await console(of: guest).ticks.count
        try await run("xl create -q \(guest.configurationPath)", timeout: .seconds(120))
        try await waitForTicks(of: guest, beyond: before)
    }

    /// Shuts a guest down in good order and waits until it is gone.
    public func shutDown(_ guest: LabGuest) async throws {
        try await run("xl shutdown -w \(guest.name)", timeout: .seconds(120))
    }

    /// Ends a guest at once; nothing if it does not run here.
    public func destroy(_ guest: LabGuest) async throws {
        try await run("! xl domid \(guest.name) 2>/dev/null || xl destroy \(guest.name)")
    }

    /// The guests that exist here and their state as `xl list` has it, such as `-b----` or `--p---`.
    public func guests() async throws -> [String: String] { Self.guests(inListing: try await run("xl list").stdout) }

    /// The same of what `xl list` has printed, whatever follows it.
    public static func guests(inListing text: String) -> [String: String] {
        var result: [String: String] = [:]
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ")
            guard fields.count == 6, fields[0] != "Domain-0", fields[4].allSatisfy({ "rbpscd-".contains($0) }) else {
                continue
            }
            result[String(fields[0])] = String(fields[4])
        }
        return result
    }

    /// Whether a guest's virtual CPUs may run in this state: `p` is paused, `s` suspended or shut down.
    public static func isRunning(_ state: String?) -> Bool {
        state.map { !$0.contains("p") && !$0.contains("s") } ?? false
    }

    /// All that the guest has printed on this node, over all of its lives here.
    public func console(of guest: LabGuest) async throws -> GuestConsole {
        GuestConsole(try await run("cat \(guest.consolePath) 2>/dev/null || true").stdout)
    }

    /// Waits until the guest has printed more than `count` ticks on this node.
    public func waitForTicks(
        of guest: LabGuest, beyond count: Int, within limit: Duration = .seconds(90)
    ) async throws {
        // Counted on the node: fetching a long log each time would cost more than the guest itself.
        let script = """
            for i in $(seq \(limit.components.seconds * 5)); do
                [ "$(grep -c '^tick ' \(guest.consolePath) 2>/dev/null)" -gt \(count) ] && exit 0; sleep 0.2
            done
            tail -n 20 \(guest.consolePath) >&2; xl list >&2; exit 1
            """
        let result = try await run(script, timeout: limit + .seconds(60), check: false)
        guard result.exit == 0 else {
            throw LabError.timedOut(
                waitingFor: "tick \(count + 1) of \(guest.name) on \(name)", after: limit, evidence: result.stderr)
        }
    }

    /// What a guest's disk holds, read from a copy so that the disk itself is left as it is.
    ///
    /// The journal is replayed in the copy, as the next mount would; after that the file system must have no error.
    /// The guest must not be writing to the device meanwhile.
    public func disk(_ device: String) async throws -> GuestDisk {
        let result = try await run(
            """
            copy=$(mktemp /var/tmp/lab-disk.XXXXXX); trap 'rm -f $copy' EXIT
            cp --sparse=always \(device) $copy || exit 90
            e2fsck -fy -E journal_only $copy >/dev/null 2>&1
            e2fsck -fn $copy >&2 || exit 91
            echo boots; debugfs -R 'cat /boot_id' $copy 2>/dev/null
            echo counter; debugfs -R 'cat /counter' $copy 2>/dev/null
            last=$(debugfs -R 'cat /counter' $copy 2>/dev/null | tail -n 1)
            echo stamps; /lab/stamps check $copy ${last%% *} 2>&1; echo "exit $?"
            """, timeout: .seconds(120), check: false)
        switch result.exit {
        case 0: return GuestDisk(listing: result.stdout, isSound: true, report: result.stderr)
        case 91: return GuestDisk(listing: "", isSound: false, report: result.stderr)
        default: throw LabError.commandFailed(place: name, command: "reading \(device)", result: result)
        }
    }
}
