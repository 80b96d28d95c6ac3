import Foundation
import LabKit

extension LabNode {
    /// What is on this host and should not be, or should and is not, after the product has done its work.
    ///
    /// - Parameters:
    ///   - volumes: the volumes that are to be there, each of them an LV, or a file where `directory` is given.
    ///   - links: of these the ones that have a link, which must lead to the plain volume.
    ///   - switches: of these the ones whose link must lead to a switch, and that to the volume.
    package func residue(
        volumes: Set<String>, links: Set<String>, directory: String? = nil, switches: Set<String> = []
    ) async throws -> [String] {
        // One list of what is there, a word for its kind in front.
        let found = try await run(
            """
            drbdsetup events2 --now all | sed -n 's/^exists resource name:\\([^ ]*\\).*/replica \\1/p'
            for lv in $(lvs --noheadings -o lv_name); do
                echo "volume $lv $(readlink -f /dev/vg0/$lv)"; echo "number $lv $(lsblk -dno MAJ:MIN /dev/vg0/$lv)"
            done
            dmsetup table | sed -n 's/^\\(xenlvs-[^:]*\\): \\(.*\\)/mapped \\1 \\2/p'
            for file in \(Hosts.pool)/* \(Hosts.pool)/.[!.]*; do [ -e "$file" ] && echo "file ${file##*/}"; done
            for device in /dev/mapper/xenlvs-switch-*; do
                [ -e "$device" ] && echo "switch ${device##*/xenlvs-switch-} $(readlink -f "$device")"
            done
            for link in /dev/xenlvs/* /dev/xenlvs/.[!.]*; do
                [ -L "$link" ] || [ -e "$link" ] || continue
                echo "link ${link##*/} $(readlink -f "$link") $(losetup -n -O BACK-FILE "$(readlink -f "$link")" 2>/dev/null)"
            done
            losetup -n -a -O BACK-FILE | sed 's/^/loop /'
            for file in /var/lib/xenlvs/images/* /var/lib/xenlvs/images/.[!.]*; do [ -e "$file" ] && echo "image $file"; done
            find /var/lib/xenlvs /run/xenlvs /dev/shm /tmp /var/tmp -name '*xenlvs-new*' | sed 's/^/temporary /'
            find /run/xenlvs -name 'seed-*' -o -name 'arrived-*' -o -name 'live-*.sock' -o -name 'off-*' | sed 's/^/temporary /'
            # The agent ends when it sees that its peer has.
            for i in $(seq 50); do pgrep -x xenlvs >/dev/null || break; sleep 0.1; done
            pgrep -ax xenlvs | sed 's/^/process /'
            # Every domain has one that watches over it, and may have got it a moment ago.
            for i in $(seq 50); do
                domains=$(xl list | tail -n +3 | wc -l)
                [ $(pgrep -cx xl) -eq $domains ] && exit; sleep 0.1
            done
            echo "process $(pgrep -cx xl) xl for $domains domains: $(pgrep -ax xl | tr '\\n' ' ')"
            """
        ).stdout.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }

        func names(_ kind: String) -> Set<String> {
            Set(found.filter { $0[0] == kind }.compactMap { $0.dropFirst().first })
        }
        var problems: [String] = []
        for kind in ["replica", "image", "temporary", "process"] {
            problems += found.filter { $0[0] == kind }.map { "left on \(name): \($0.joined(separator: " "))" }
        }
        let lvs = directory == nil ? volumes : []
        let files = directory == nil ? [] : Set(volumes.map { "\($0).img" })
        problems += differences("logical volumes", names("volume"), lvs)
        problems += differences("files of volumes", names("file"), files)
        problems += differences("links", names("link"), links)
        problems += differences("switches", names("mapped"), Set(switches.map { "xenlvs-switch-\($0)" }))
        for device in found where device[0] == "mapped" {
            let number = found.first { $0[0] == "number" && "xenlvs-switch-\($0[1])" == device[1] }?.last
            if device.count != 7 || device[5] != number || device[6] != "0" {
                problems.append(
                    "\(name)'s \(device[1]) leads to \(device.dropFirst(2)), not to \(number ?? "its volume")")
            }
        }
        for link in found where link[0] == "link" {
            let isSwitched = switches.contains(link[1])
            let volume = found.first { $0[0] == (isSwitched ? "switch" : "volume") && $0[1] == link[1] }?.last
            let plain = directory.map { "\($0)/\(link[1]).img" } ?? volume ?? "its volume"
            if !link.dropFirst(2).contains(plain) {
                problems.append("\(name)'s link \(link[1]) leads to \(link.dropFirst(2)) and not to \(plain)")
            }
        }
        let loops = directory == nil ? [] : Set(volumes.map { "\(directory ?? "")/\($0).img" })
        let strays = names("loop").subtracting(loops)
        if !strays.isEmpty { problems.append("loop devices left on \(name): \(strays.sorted())") }
        return problems
    }

    private func differences(_ what: String, _ found: Set<String>, _ expected: Set<String>) -> [String] {
        found == expected ? [] : ["\(what) on \(name): \(found.sorted()), expected \(expected.sorted())"]
    }
}
