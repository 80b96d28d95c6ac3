import LabKit
import Testing

extension LabNode {
    /// That `multipath list` tells of a map, all of whose paths are up, what the kernel says of it.
    func expectListing(of map: String, at place: SourceLocation = #_sourceLocation) async throws {
        let check = try await run(
            """
            set -e; xenlvs multipath list | tee /root/list
            dm=dm-$(dmsetup info -c --noheadings -o minor \(map)); grep "($dm), .*, selector " /root/list >/root/head
            grep "WWID $(dmsetup info -c --noheadings -o uuid \(map) | sed 's/.*mpath-//')," /root/head
            for disk in /sys/block/$dm/slaves/*; do
                address=$(basename $(readlink -f $disk/device))
                grep " $(basename $disk) *$address  *$(cat $disk/dev) .* up .* active running " /root/list
            done
            rm /root/list /root/head
            """, timeout: .seconds(120), check: false)
        #expect(check.exit == 0, "\(check.stdout)\(check.stderr)", sourceLocation: place)
    }
}
