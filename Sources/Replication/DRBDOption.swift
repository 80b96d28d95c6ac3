/// One option of DRBD's, written `--name=value` for `drbdsetup` and `name value;` in `drbd.conf`.
struct DRBDOption: Sendable, Equatable {
    var name: String
    var value: String
    var isSecret: Bool

    init(_ name: String, _ value: String, isSecret: Bool = false) {
        self.name = name
        self.value = value
        self.isSecret = isSecret
    }

    var argument: String { "--\(name)=\(value)" }
    var configuration: String { "\(name) \"\(value)\";" }
}
