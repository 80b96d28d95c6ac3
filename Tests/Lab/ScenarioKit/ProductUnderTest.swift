import Foundation
import LabKit

/// The binary that the scenarios put on the nodes: built by the Makefile, named by `XENLVS_BINARY`.
package enum ProductUnderTest {
    /// Where it goes on a node.
    package static let path = "/usr/bin/xenlvs"

    package static var binary: URL {
        get throws {
            guard let path = ProcessInfo.processInfo.environment["XENLVS_BINARY"] else {
                throw ScenarioError("XENLVS_BINARY does not name the static xenlvs binary; run 'make test'")
            }
            return URL(filePath: path)
        }
    }

    /// The daemon, which is beside the binary.
    package static var daemon: URL { get throws { try binary.deletingLastPathComponent().appending(path: "xenlvsd") } }
    package static let daemonPath = "/usr/sbin/xenlvsd"

    package static var udevRules: URL { source("udev/59-xenlvs.rules") }
    package static var daemonUnit: URL { source("conf/xenlvsd.service") }
    private static func source(_ path: String) -> URL {
        URL(filePath: #filePath).appending(path: "../../../../\(path)").standardizedFileURL
    }
    package static let udevRulesPath = "/etc/udev/rules.d/59-xenlvs.rules"
}
