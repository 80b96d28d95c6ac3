import FoundationEssentials
import HostModel
import Storage
import Testing

@Suite("Volumes in the state database")
struct VolumeCodingTests {
    @Test(
        "A volume's stored form stays as it is",
        arguments: [
            (
                Volume(
                    name: web1, place: .logicalVolume(group: vg0, name: LogicalVolumeName(of: web1)),
                    size: ByteCount(4096),
                    logicalVolumeUUID: "u"),
                #"{"logicalVolumeUUID":"u","name":"web1","place":{"logicalVolume":{"group":"vg0","name":"web1"}},"#
                    + #""size":4096,"state":{"active":{}}}"#
            ),
            (
                Volume(
                    name: web1, place: .file(pool: "/srv"), size: ByteCount(512), state: .incoming(migration: "m1")),
                #"{"name":"web1","place":{"file":{"pool":"/srv"}},"size":512,"#
                    + #""state":{"incoming":{"migration":"m1"}}}"#
            ),
            (
                Volume(
                    name: web1, place: .file(pool: "/srv"), size: ByteCount(512), switchGoal: .replica(minor: 7)),
                #"{"name":"web1","place":{"file":{"pool":"/srv"}},"size":512,"state":{"active":{}},"#
                    + #""switchGoal":{"replica":{"minor":7}}}"#
            ),
            (
                Volume(name: web1, place: .file(pool: "/srv"), size: ByteCount(512), switchGoal: .volume),
                #"{"name":"web1","place":{"file":{"pool":"/srv"}},"size":512,"state":{"active":{}},"#
                    + #""switchGoal":{"volume":{}}}"#
            ),
        ])
    func coding(_ volume: Volume, _ json: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        #expect(String(decoding: try encoder.encode(volume), as: UTF8.self) == json)
        #expect(try JSONDecoder().decode(Volume.self, from: Data(json.utf8)) == volume)
    }
}
