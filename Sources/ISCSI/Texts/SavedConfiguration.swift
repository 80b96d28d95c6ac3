import HostModel

/// LIO's `saveconfig.json`, as targetcli and targetctl write and restore it (python3-rtslib-fb 2.1.75: the `dump` and
/// `setup` methods of root.py, tcm.py and target.py). It holds secrets: mode 0600.
struct SavedConfiguration: Codable {
    struct StorageObject: Codable {
        struct Attributes: Codable {
            var emulateTPU: Int?

            private enum CodingKeys: String, CodingKey { case emulateTPU = "emulate_tpu" }
        }

        var name: String
        /// `block`, `fileio`, `ramdisk` or another.
        var plugin: String
        var dev: String?
        var readonly: Bool?
        var writeBack: Bool?
        /// The serial number.
        var wwn: String?
        var attributes: Attributes?

        private enum CodingKeys: String, CodingKey {
            case name, plugin, dev, readonly, wwn, attributes
            case writeBack = "write_back"
        }
    }

    struct FabricModule: Codable {
        var name: String
        var discoveryUserid: String?
        var discoveryPassword: String?
        var discoveryMutualUserid: String?
        var discoveryMutualPassword: String?
        var discoveryEnableAuth: Bool?

        private enum CodingKeys: String, CodingKey {
            case name
            case discoveryUserid = "discovery_userid"
            case discoveryPassword = "discovery_password"
            case discoveryMutualUserid = "discovery_mutual_userid"
            case discoveryMutualPassword = "discovery_mutual_password"
            case discoveryEnableAuth = "discovery_enable_auth"
        }
    }

    struct Target: Codable {
        var fabric: String
        var wwn: String
        var tpgs: [Group]
    }

    struct Group: Codable {
        var tag: Int
        var enable: Bool
        /// Nil where the fabric has none, as `loopback` and `vhost`.
        var attributes: [String: Scalar]?
        var parameters: [String: Scalar]?
        var luns: [Unit]
        var portals: [Portal]
        var nodeACLs: [Initiator]

        private enum CodingKeys: String, CodingKey {
            case tag, enable, attributes, parameters, luns, portals
            case nodeACLs = "node_acls"
        }
    }

    /// A value that is written as a number where it is one.
    struct Scalar: Codable {
        var text: String

        init(_ text: String) { self.text = text }

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let number = try? value.decode(Int.self) {
                text = String(number)
            } else {
                text = try value.decode(String.self)
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            if let number = Int(text) { try container.encode(number) } else { try container.encode(text) }
        }
    }

    struct Unit: Codable {
        var index: Int
        /// `/backstores/block/web1`.
        var storageObject: String
        var alias: String?

        private enum CodingKeys: String, CodingKey {
            case index, alias
            case storageObject = "storage_object"
        }
    }

    struct Portal: Codable {
        var address: String
        var port: UInt16
        var iser: Bool?
        var offload: Bool?

        private enum CodingKeys: String, CodingKey {
            case port, iser, offload
            case address = "ip_address"
        }
    }

    struct Initiator: Codable {
        var nodeWWN: String
        var mappedLUNs: [MappedUnit]
        var chapUserid: String?
        var chapPassword: String?
        var chapMutualUserid: String?
        var chapMutualPassword: String?

        private enum CodingKeys: String, CodingKey {
            case nodeWWN = "node_wwn"
            case mappedLUNs = "mapped_luns"
            case chapUserid = "chap_userid"
            case chapPassword = "chap_password"
            case chapMutualUserid = "chap_mutual_userid"
            case chapMutualPassword = "chap_mutual_password"
        }
    }

    struct MappedUnit: Codable {
        var index: Int
        var tpgLUN: Int
        var writeProtect: Bool
        var alias: String?

        private enum CodingKeys: String, CodingKey {
            case index, alias
            case tpgLUN = "tpg_lun"
            case writeProtect = "write_protect"
        }
    }

    var fabricModules: [FabricModule]
    var storageObjects: [StorageObject]
    var targets: [Target]

    private enum CodingKeys: String, CodingKey {
        case targets
        case fabricModules = "fabric_modules"
        case storageObjects = "storage_objects"
    }
}
