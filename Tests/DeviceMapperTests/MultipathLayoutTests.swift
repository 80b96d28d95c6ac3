import Storage
import Testing

@testable import DeviceMapper

@Suite("Maps of anybody")
struct MultipathLayoutTests {
    private let one = BlockDeviceNumber(major: 8, minor: 16)
    private let two = BlockDeviceNumber(major: 65, minor: 144)

    private func layout(_ parameters: String) -> MultipathLayout? {
        MappingTable(parsing: "0 2048 multipath \(parameters)")?.multipathLayout
    }

    @Test("A table of multipathd's, with features, a hardware handler and a group for each priority")
    func multipathd() throws {
        let text =
            "4 queue_if_no_path pg_init_retries 50 retain_attached_hw_handler 1 alua 2 1 "
            + "service-time 0 1 2 8:16 1 1 service-time 0 1 2 65:144 1 1 "
        let found = try #require(layout(text))
        #expect(found.features == ["queue_if_no_path", "pg_init_retries 50", "retain_attached_hw_handler"])
        #expect(found.hardwareHandler == "alua")
        #expect(
            found.groups == [
                .init(selector: "service-time", paths: [one]), .init(selector: "service-time", paths: [two]),
            ])
    }

    @Test("A value stands with its feature")
    func values() throws {
        let found = try #require(layout("4 queue_mode bio pg_init_delay_msecs 100 0 1 1 round-robin 0 1 1 8:16 1 "))
        #expect(found.features == ["queue_mode bio", "pg_init_delay_msecs 100"] && found.hardwareHandler == nil)
        // Never printed so, and read all the same.
        #expect(layout("1 queue_mode 0 0 0")?.features == ["queue_mode"])
    }

    @Test("A selector that xenlvs never uses, with arguments of its own")
    func selectors() throws {
        let found = try #require(
            layout("0 0 1 1 historical-service-time 0 2 2 8:16 1 1 65:144 1 1 "))
        #expect(found.groups == [.init(selector: "historical-service-time", paths: [one, two])])
        #expect(layout("0 0 1 1 io-affinity 0 1 1 8:16 ff ")?.groups.first?.selector == "io-affinity")
        #expect(layout("0 0 1 1 fancy 2 a b 1 0 8:16 ")?.groups == [.init(selector: "fancy", paths: [one])])
    }

    @Test("One of xenlvs's own, and a map whose paths are all gone")
    func own() throws {
        let target = MultipathTarget(
            queuesWithoutPath: true, groups: [.init(.queueLength, [one]), .init(.queueLength, [two])])
        let found = try #require(MappingTable(over: target, sectors: 8).multipathLayout)
        #expect(found.features == ["queue_if_no_path"] && found.hardwareHandler == nil)
        #expect(found.groups.map(\.paths) == [[one], [two]] && found.groups[1].selector == "queue-length")
        #expect(layout("1 queue_if_no_path 0 0 0")?.groups.isEmpty == true)
    }

    @Test(
        "What is no such line",
        arguments: [
            "", "0", "-1 0 1 1 x 0 1 0 8:16", "9 queue_if_no_path 0 1 1", "0 0 -1 1", "0 0 2000 1", "0 0 1",
            "0 0 1 1 service-time 0 1 2 8:16 1", "0 0 1 1 service-time 0 -1 2 8:16 1 1",
            "0 0 1 1 service-time 0 1 -2 8:16 1 1", "0 0 1 1 service-time 0 1 2 sdb 1 1",
            "0 0 1 1 service-time 0 1 2 8:16 1 1 more", "0 0 2 1 service-time 0 1 2 8:16 1 1",
            "0 0 1 1 service-time 0 9223372036854775807 2 8:16 1 1",
        ])
    func others(text: String) {
        #expect(layout(text) == nil, "\(text)")
        #expect(MultipathLayout(parameters: text) == nil, "\(text)")
    }

    @Test("A device of several lines, or of another kind, is no map")
    func noMap() {
        #expect(MappingTable(linearTo: one, sectors: 8).multipathLayout == nil)
        let line = "multipath 0 0 1 1 service-time 0 1 2 8:16 1 1"
        #expect(MappingTable(parsing: "0 8 \(line)\n8 8 \(line)")?.multipathLayout == nil)
    }
}
