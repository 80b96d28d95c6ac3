import HostModel
import SeedKit

@testable import ISCSI

/// Exports for tests.
enum Sample {
    static let initiator = try! ISCSIName("iqn.1993-08.org.debian:01:nodeb")
    static let otherInitiator = try! ISCSIName("iqn.1993-08.org.debian:01:nodec")

    static func volume(_ name: String) -> VolumeName { VolumeName(unchecked: name) }
    static func target(_ name: String) -> ISCSIName { try! ISCSIName("iqn.2026-11.invalid.xenlvs.nodea:\(name)") }
    static func identity(_ seed: String) -> DeviceIdentity {
        DeviceIdentity(groupUUID: "group", volumeUUID: seed)
    }

    static func credentials(_ word: String, mutual: Bool = false) -> CHAPCredentials {
        try! CHAPCredentials(
            initiator: CHAPAccount(user: "user-\(word)", secret: CHAPSecret("the-secret-of-\(word)")),
            target: mutual ? CHAPAccount(user: "target", secret: CHAPSecret("the-mutual-of-\(word)")) : nil)
    }

    static func export(
        _ name: String, target: String? = nil, lun: Int = 1, portals: [String] = ["10.0.0.1"],
        initiators: [AllowedInitiator] = [AllowedInitiator(initiator)], generation: Int = 0, readOnly: Bool = false,
        thin: Bool = false, digest: Digest = .either, credentials: CHAPCredentials? = nil
    ) -> ResolvedExport {
        let export = ISCSIExport(
            volume: volume(name), target: Self.target(target ?? name), portals: portals.map { try! Portal($0) },
            initiators: initiators, headerDigest: digest, isReadOnly: readOnly, isThin: thin)
        return ResolvedExport(
            export, lun: lun, identity: identity("\(name)-\(generation)"), devicePath: "/dev/xenlvs/\(name)",
            deviceNumber: number(of: name, generation),
            credentials: credentials.map { value in
                Dictionary(uniqueKeysWithValues: initiators.map { ($0.name, value) })
            } ?? [:])
    }

    /// Another generation of a volume is another device under the same path.
    static func number(of name: String, _ generation: Int) -> String {
        "253:\(name.utf8.reduce(0) { $0 * 31 + Int($1) } % 1000 * 4 + generation)"
    }

    /// A state of a few exports, drawn at random.
    static func state(_ numbers: inout SeededNumbers) -> ResolvedState {
        var targets = ["t0", "t1", "t2", "t3", "t4"].shuffled(using: &numbers)
        var exports: [ResolvedExport] = []
        for name in ["v0", "v1", "v2", "v3"] where Bool.random(using: &numbers) {
            exports.append(export(name, on: targets.removeLast(), &numbers))
        }
        let discovery = Int.random(in: 0..<4, using: &numbers) == 0 ? credentials("discovery") : nil
        return ResolvedState(exports: exports, discovery: discovery)
    }

    static func export(_ name: String, on target: String, _ numbers: inout SeededNumbers) -> ResolvedExport {
        let portals = ["10.0.0.1", "10.1.0.1", "[fd00::1]:3261"].filter { _ in Bool.random(using: &numbers) }
        var initiators: [AllowedInitiator] = []
        for name in [initiator, otherInitiator] where Bool.random(using: &numbers) {
            initiators.append(AllowedInitiator(name, isReadOnly: Bool.random(using: &numbers)))
        }
        let hasCHAP = Bool.random(using: &numbers)
        return export(
            name, target: Bool.random(using: &numbers) ? name : target, lun: Int.random(in: 1...3, using: &numbers),
            portals: portals.isEmpty ? ["10.0.0.1"] : portals,
            initiators: initiators.isEmpty ? [AllowedInitiator(initiator)] : initiators,
            generation: Int.random(in: 0...1, using: &numbers), readOnly: Bool.random(using: &numbers),
            thin: Bool.random(using: &numbers), digest: Digest.allCases.randomElement(using: &numbers) ?? .either,
            credentials: hasCHAP
                ? credentials("\(Int.random(in: 0...1, using: &numbers))", mutual: Bool.random(using: &numbers)) : nil)
    }
}

extension ResolvedState {
    var ownership: LIOOwnership {
        LIOOwnership(
            items: Set(exports.map { .init(target: $0.export.target, volume: $0.export.volume) }),
            hasDiscovery: discovery != nil)
    }
}

extension LIOOwnership {
    func union(_ other: LIOOwnership) -> LIOOwnership {
        LIOOwnership(items: items.union(other.items), hasDiscovery: hasDiscovery || other.hasDiscovery)
    }
}

extension SimulatedTarget {
    /// With the devices that `states` serve; of two generations of a volume the later state's.
    mutating func provide(_ state: ResolvedState) {
        for export in state.exports { blockDevices[export.devicePath] = export.deviceNumber }
    }

    func difference(to state: ResolvedState, owned: LIOOwnership) throws(Failure) -> LIODifference {
        try LIODifference(from: LIOSnapshot(reading: self), to: state, owned: owned)
    }
}
