import Storage
import Testing

@testable import DeviceMapper

@Suite("Maps over paths")
struct MultipathTargetTests {
    private let one = BlockDeviceNumber(major: 8, minor: 0)
    private let two = BlockDeviceNumber(major: 8, minor: 16)

    @Test(
        "Tables that Linux 6.1 has taken, and prints with the group in use and a blank at the end",
        arguments: [
            (false, PathSelector.roundRobin, true, "0 0 1 1 round-robin 0 2 1 8:0 1 8:16 1"),
            (true, .queueLength, false, "1 queue_if_no_path 0 2 1 queue-length 0 1 1 8:0 1 queue-length 0 1 1 8:16 1"),
            (true, .serviceTime, true, "1 queue_if_no_path 0 1 1 service-time 0 2 2 8:0 1 1 8:16 1 1"),
        ])
    func tables(queues: Bool, selector: PathSelector, together: Bool, text: String) throws {
        let groups =
            together ? [MultipathTarget.Group(selector, [one, two])] : [one, two].map { .init(selector, [$0]) }
        let target = MultipathTarget(queuesWithoutPath: queues, groups: groups)
        #expect(target.parameters == text)
        #expect(MultipathTarget(parameters: text + " ") == target)
        let other = text.replacing("0 2 1 queue", with: "0 2 2 queue")
        #expect(MultipathTarget(parameters: other) == target)
        let table = try #require(MappingTable(parsing: "0 2048 multipath \(text) "))
        #expect(table.multipath == target && table == MappingTable(over: target, sectors: 2048))
    }

    @Test(
        "What xenlvs makes no tables with is left as it is",
        arguments: [
            "", "0", "1 x 0 1 1 service-time 0 1 2 8:0 1 1", "0 1 alua 1 1 service-time 0 1 2 8:0 1 1",
            "0 0 1 1 fancy 0 1 1 8:0 1", "0 0 1 1 round-robin 0 1 1 8:0", "0 0 1 1 round-robin 0 1 1 8:0 1 more",
            "0 0 99 1 round-robin 0 1 1 8:0 1", "0 0 1 1 round-robin 0 1 1 8:0 100",
            "0 0 1 1 round-robin 0 -1 1 8:0 1",
        ])
    func others(text: String) {
        #expect(MultipathTarget(parameters: text) == nil)
        #expect(MappingTarget(start: 0, length: 8, type: "multipath", parameters: text).parameters == text)
    }

    @Test("Waiting for a path is no other table")
    func queueing() throws {
        let group = MultipathTarget.Group(.serviceTime, [one])
        let waits = MappingTable(over: MultipathTarget(queuesWithoutPath: true, groups: [group]), sectors: 8)
        let fails = MappingTable(over: MultipathTarget(queuesWithoutPath: false, groups: [group]), sectors: 8)
        #expect(waits != fails && waits.leadsLike(fails))
        #expect(
            !waits.leadsLike(MappingTable(over: MultipathTarget(queuesWithoutPath: true, groups: [group]), sectors: 9)))
        #expect(!waits.leadsLike(MappingTable(linearTo: one, sectors: 8)))
    }

    @Test("How the kernel says that the paths are")
    func status() throws {
        let text = "2 0 0 0 2 1 A 0 1 2 8:0 A 0 0 1 E 0 1 2 8:16 F 3 0 1 "
        let status = try #require(MultipathStatus(parameters: text))
        #expect(status.groups.map(\.state) == [.active, .enabled])
        #expect(
            status.paths == [
                .init(device: one, isActive: true, failures: 0), .init(device: two, isActive: false, failures: 3),
            ])
        #expect(MultipathStatus(parameters: "2 0 0 0 1 1 A 0 2 0 8:0 A 0 8:16 F 1")?.paths.count == 2)
        for wrong in [
            "", "2 0 0", "2 0 0 0 1 1 X 0 1 0 8:0 A 0", "2 0 0 0 1 1 A 0 1 0 8:0 Q 0", "2 0 0 0 1 1 A 0 1 0",
            "2 0 0 0 -1 1 A 0 1 0 8:0 A 0", "2 0 0 0 1 1 A 0 -1 0 8:0 A 0", "2 0 0 0 1 1 A 0 1 -1 8:0 A 0",
            "2 0 0 0 1 1 A 0 1 0 8:0 A -1",
        ] {
            #expect(MultipathStatus(parameters: wrong) == nil, "\(wrong)")
        }
    }
}
