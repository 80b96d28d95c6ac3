import ArgumentParser
import Foundation
import LabKit
import ScenarioKit

/// Measures the iSCSI side against the tools that administrators use for the same, on one node and in turn. The last line is
/// JSON.
struct BenchISCSI: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-iscsi",
        abstract: "Measure iSCSI exports against targetcli's tools, and the loss of a path.",
        discussion: """
            plan_ms: 'xenlvs plan' for so many new exports. apply_ms: 'xenlvs apply' of them, and restore_ratio how many times \
            longer 'targetctl restore' of the same takes. list_ratio: how many times longer 'lvs' of as many volumes takes, with \
            LVM's default configuration, than 'xenlvs volume list'. failover_gap_ms: the longest gap in a guest's counter while one of two paths to its \
            disk is cut. XENLVS_BINARY names the static xenlvs binary.
            """)

    @Option(help: "How many exports.") var exports = 100
    @Option(help: "How many rounds; the medians count.") var rounds = 3

    func run() async throws {
        let hosts = try await Hosts.clean()
        let stage = ISCSIStage(hosts: hosts, exports: exports)
        try await stage.makeVolumes()
        var samples: [[String: Double]] = []
        for round in 1...rounds {
            let sample = try await stage.round()
            samples.append(sample)
            print(
                "round \(round): \(sample.sorted { $0.key < $1.key }.map { "\($0.key) \(Int($0.value))" }.joined(separator: ", "))"
            )
        }
        func median(_ name: String) -> Double {
            let values = samples.compactMap { $0[name] }.sorted()
            return values[values.count / 2]
        }
        try await hosts.reset()
        let gap = try await stage.failover()
        print(
            "plan \(Int(median("plan"))) ms, apply \(Int(median("apply"))) ms, targetctl restore \(Int(median("restore"))) ms, "
                + "volume list \(Int(median("list"))) ms, lvs \(Int(median("lvs"))) ms (\(Int(median("tuned"))) ms without asynchronous I/O), xenlvs itself starts in \(Int(median("start"))) ms, the guest's longest gap \(gap) ms"
        )
        print(
            String(
                format:
                    #"{"plan_ms":%.0f,"apply_ms":%.0f,"restore_ratio":%.1f,"list_ratio":%.2f,"failover_gap_ms":%d}"#,
                median("plan"), median("apply"), median("restore") / median("apply"), median("lvs") / median("list"),
                gap))
        try await hosts.reset()
    }
}

/// What the measurements need on the nodes.
struct ISCSIStage {
    let hosts: Hosts
    let exports: Int

    /// Volumes of 4 MiB on b, and a file that exports all of them.
    func makeVolumes() async throws {
        try await hosts.b.run(
            """
            set -e
            { echo 'iscsi:'; echo '  exports:'; for number in $(seq \(exports)); do
                lvcreate -qq -y -Wn -L 4M -n disk$number vg0; xenlvs link set disk$number /dev/vg0/disk$number >/dev/null
                echo "    - {volume: disk$number, portals: [10.77.0.2], initiators: [iqn.2009-01.lab.xenlvs:nodea]}"
            done; } >/root/exports.yaml
            echo 'iscsi: {exports: []}' >/root/none.yaml
            # The nodes' own configuration spares LVM its slowest step; other hosts have the defaults.
            mkdir -p /root/lvm-defaults
            xenlvs apply -f /root/none.yaml
            """, timeout: .seconds(900))
    }

    /// Each measure once, in milliseconds, all started by the same shell.
    func round() async throws -> [String: Double] {
        let text = try await hosts.b.run(
            """
            set -e
            measure() {
                name=$1; shift; start=$(date +%s%N); "$@" >/dev/null; end=$(date +%s%N); echo "$name $(((end - start) / 1000))"
            }
            measure plan xenlvs plan -f /root/exports.yaml
            measure apply xenlvs apply -f /root/exports.yaml
            targetctl save /root/saved.json
            xenlvs apply -f /root/none.yaml >/dev/null
            measure restore targetctl restore /root/saved.json
            targetctl clear
            measure list xenlvs volume list
            measure lvs env LVM_SYSTEM_DIR=/root/lvm-defaults lvs
            measure tuned lvs
            measure start xenlvs --version
            """, timeout: .seconds(900)
        ).stdout
        var sample: [String: Double] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2, let microseconds = Double(words[1]) { sample[String(words[0])] = microseconds / 1000 }
        }
        return sample
    }

    /// A guest on a, whose disk is b's over two networks, and the one that is in use is cut.
    func failover() async throws -> Int {
        try await hosts.b.run(
            """
            set -e; xenlvs volume create web1 --no-switch --size 32M
            mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/xenlvs/web1
            xenlvs export iscsi web1 --portal 10.77.0.2 --portal 10.78.0.2 --initiator iqn.2009-01.lab.xenlvs:nodea
            """, timeout: .seconds(120))
        try await hosts.a.run("modprobe iscsi_tcp; pgrep -x iscsid >/dev/null || iscsid")
        let watch = try await hosts.a.start("exec xenlvs multipath watch")
        try await watch.waitForOutput("checking paths")
        try await hosts.a.run(
            "xenlvs attach iscsi iqn.2026-11.invalid.xenlvs.nodeb:web1 --as web1 --portal 10.77.0.2 --portal 10.78.0.2",
            timeout: .seconds(120))
        let guest = LabGuest("web1")
        try await hosts.a.create(guest)
        try await hosts.a.waitForTicks(of: guest, beyond: 10)
        var gap = 0
        for network in [LabNetwork.storage, .cluster] {
            let before = try await hosts.a.console(of: guest).ticks.count
            try await hosts.a.cutLink(network)
            try await hosts.a.waitForTicks(of: guest, beyond: before + 40)
            try await hosts.a.restoreLink(network)
            try await hosts.a.run(
                "for i in $(seq 60); do [ $(xenlvs multipath list | grep -c ' up ') = 2 ] && exit 0; sleep 1; done; exit 1",
                timeout: .seconds(180))
            gap = max(gap, Int(try await hosts.a.console(of: guest).longestGap))
        }
        return gap
    }
}
