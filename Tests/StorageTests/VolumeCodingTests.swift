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
            (
                Volume(
                    name: web1, place: .logicalVolume(group: vg0, name: LogicalVolumeName(of: web1)),
                    size: ByteCount(4096), logicalVolumeUUID: "u",
                    switchGoal: .move(
                        VolumeMove(
                            stage: .copying, place: .attachment(VolumeName(unchecked: "data1")), size: ByteCount(8192),
                            formerName: VolumeName(unchecked: "web1.old"), hasSameData: false))),
                #"{"logicalVolumeUUID":"u","name":"web1","place":{"logicalVolume":{"group":"vg0","name":"web1"}},"#
                    + #""size":4096,"state":{"active":{}},"switchGoal":{"move":{"_0":{"formerName":"web1.old","#
                    + #""hasSameData":false,"place":{"attachment":{"_0":"data1"}},"size":8192,"stage":"copying"}}}}"#
            ),
            (
                Volume(
                    name: VolumeName(unchecked: "web1.old"), place: .attachment(VolumeName(unchecked: "data1")),
                    size: ByteCount(512), state: .former(of: web1), switchKey: "u"),
                #"{"name":"web1.old","place":{"attachment":{"_0":"data1"}},"size":512,"state":{"former":{"of":"web1"}},"#
                    + #""switchKey":"u"}"#
            ),
        ])
    func coding(_ volume: Volume, _ json: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        #expect(String(decoding: try encoder.encode(volume), as: UTF8.self) == json)
        #expect(try JSONDecoder().decode(Volume.self, from: Data(json.utf8)) == volume)
    }
}
