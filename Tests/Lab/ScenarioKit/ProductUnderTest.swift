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
}
