import FoundationEssentials
import HostModel

/// Writes and reads `saveconfig.json`.
public enum LIOSaveFile {
    /// The text that `targetctl restore` brings the same exports about with.
    public static func text(of state: ResolvedState) throws(Failure) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do { return String(decoding: try encoder.encode(SavedConfiguration(state)), as: UTF8.self) + "\n" } catch {
            throw Failure(error, doing: "cannot write saveconfig.json")
        }
    }

    /// Reads what another program has saved. Throws `.usage` where it is no such file.
    public static func read(_ text: String) throws(Failure) -> ImportedState {
        let saved: SavedConfiguration
        do { saved = try JSONDecoder().decode(SavedConfiguration.self, from: Data(text.utf8)) } catch {
            // What is wrong may stand beside a secret, but names of keys are none.
            guard let error = error as? DecodingError else { throw Failure(.usage, "this is no saveconfig.json") }
            throw Failure(.usage, "this is no saveconfig.json", why: error.place)
        }
        var result = ImportedState()
        for target in saved.targets {
            result.take(target.wwn) { () throws(Failure) in try export(target, in: saved) }
        }
        if let module = saved.fabricModules.first(where: { $0.name == "iscsi" }) {
            do throws(Failure) {
                result.discovery = try credentials(
                    (module.discoveryUserid, module.discoveryPassword),
                    (module.discoveryMutualUserid, module.discoveryMutualPassword))
            } catch { result.leftOut.append("discovery: \(error.description)") }
        }
        return result
    }

    private static func export(
        _ target: SavedConfiguration.Target, in saved: SavedConfiguration
    ) throws(Failure) -> ImportedExport {
        func leftOut(_ why: String) -> Failure { Failure(.refused, "cannot take over \(target.wwn)", why: why) }
        guard target.fabric == "iscsi" else { throw leftOut("it is served over \(target.fabric)") }
        guard target.tpgs.count == 1, let group = target.tpgs.first, group.enable else {
            throw leftOut("it has several portal groups, or none that is enabled")
        }
        guard group.luns.count == 1, let unit = group.luns.first else { throw leftOut("it has not just one LUN") }
        guard group.attributes?["generate_node_acls"]?.text != "1" else { throw leftOut("any initiator may use it") }
        let objects = saved.storageObjects.filter { "/backstores/\($0.plugin)/\($0.name)" == unit.storageObject }
        guard let object = objects.first, object.plugin == "block", let device = object.dev, let serial = object.wwn
        else { throw leftOut("its backstore is no block device") }

        let needsCHAP = group.attributes?["authentication"]?.text != "0"
        var (initiators, accounts): ([AllowedInitiator], [ISCSIName: CHAPCredentials]) = ([], [:])
        for item in group.nodeACLs {
            guard let mapped = item.mappedLUNs.first, item.mappedLUNs.count == 1, mapped.tpgLUN == unit.index,
                mapped.index == unit.index
            else { throw leftOut("\(item.nodeWWN) sees it as another LUN, or not at all") }
            let name = try ISCSIName(item.nodeWWN)
            initiators.append(AllowedInitiator(name, isReadOnly: mapped.writeProtect))
            guard needsCHAP else { continue }
            accounts[name] = try credentials(
                (item.chapUserid, item.chapPassword), (item.chapMutualUserid, item.chapMutualPassword))
            if accounts[name] == nil { throw leftOut("\(name) has no CHAP user, and needs one") }
        }
        return ImportedExport(
            target: try ISCSIName(target.wwn), lun: unit.index == 0 ? nil : unit.index, devicePath: device,
            serial: serial,
            portals: try group.portals.map { portal throws(Failure) in try Portal("\(portal.address):\(portal.port)") },
            initiators: initiators, credentials: accounts,
            headerDigest: group.parameters?["HeaderDigest"].flatMap { Digest(words: $0.text) } ?? .either,
            dataDigest: group.parameters?["DataDigest"].flatMap { Digest(words: $0.text) } ?? .either,
            isReadOnly: object.readonly ?? false, isThin: object.attributes?.emulateTPU == 1)
    }

    private static func credentials(
        _ initiator: (String?, String?), _ target: (String?, String?)
    ) throws(Failure) -> CHAPCredentials? {
        guard let user = initiator.0, let secret = initiator.1, !user.isEmpty, !secret.isEmpty else { return nil }
        var other: CHAPAccount?
        if let user = target.0, let secret = target.1, !user.isEmpty, !secret.isEmpty {
            other = try CHAPAccount(user: user, secret: try CHAPSecret(secret))
        }
        return try CHAPCredentials(
            initiator: try CHAPAccount(user: user, secret: try CHAPSecret(secret)), target: other)
    }
}

extension DecodingError {
    /// Where in the document, and no more.
    fileprivate var place: String {
        let path: [any CodingKey] =
            switch self {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
                context.codingPath
            case .keyNotFound(let key, let context): context.codingPath + [key]
            @unknown default: []
            }
        return "it is not as expected at '\(path.map(\.stringValue).joined(separator: "."))'"
    }
}

extension SavedConfiguration {
    init(_ state: ResolvedState) {
        fabricModules =
            state.discovery.map { discovery in
                [
                    FabricModule(
                        name: "iscsi", discoveryUserid: discovery.initiator.user,
                        discoveryPassword: discovery.initiator.secret.text,
                        discoveryMutualUserid: discovery.target?.user,
                        discoveryMutualPassword: discovery.target?.secret.text,
                        discoveryEnableAuth: true)
                ]
            } ?? []
        storageObjects = state.exports.map { export in
            StorageObject(
                name: export.export.volume.text, plugin: "block", dev: export.devicePath,
                readonly: export.export.isReadOnly, writeBack: false, wwn: export.identity.serial,
                attributes: StorageObject.Attributes(emulateTPU: export.export.isThin ? 1 : 0))
        }
        targets = state.exports.map { Target(fabric: "iscsi", wwn: $0.export.target.text, tpgs: [Group($0)]) }
    }
}

extension SavedConfiguration.Group {
    fileprivate init(_ export: ResolvedExport) {
        var attributes: [String: SavedConfiguration.Scalar] = [:]
        var parameters: [String: SavedConfiguration.Scalar] = [:]
        for (path, value) in LIO.settings(of: export) {
            if let name = path.dropping("attrib/") { attributes[String(name)] = .init(value) }
            if let name = path.dropping("param/") { parameters[String(name)] = .init(value) }
        }
        self.init(
            tag: 1, enable: true, attributes: attributes, parameters: parameters,
            luns: [
                .init(index: export.lun, storageObject: "/backstores/block/\(export.export.volume)", alias: nil)
            ],
            portals: export.export.portals.map {
                .init(address: $0.isIPv6 ? "[\($0.address)]" : $0.address, port: $0.port, iser: false, offload: false)
            },
            nodeACLs: export.export.initiators.map { initiator in
                let credentials = export.credentials[initiator.name]
                return .init(
                    nodeWWN: initiator.name.text,
                    mappedLUNs: [
                        .init(index: export.lun, tpgLUN: export.lun, writeProtect: initiator.isReadOnly, alias: nil)
                    ],
                    chapUserid: credentials?.initiator.user, chapPassword: credentials?.initiator.secret.text,
                    chapMutualUserid: credentials?.target?.user,
                    chapMutualPassword: credentials?.target?.secret.text)
            })
    }
}
