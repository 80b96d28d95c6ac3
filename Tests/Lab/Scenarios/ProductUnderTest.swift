import Foundation
import LabKit

/// The binary that the scenarios put on the nodes: built by the Makefile, named by `XENLVS_BINARY`.
enum ProductUnderTest {
    static var binary: URL {
        get throws {
            guard let path = ProcessInfo.processInfo.environment["XENLVS_BINARY"] else {
                throw ScenarioError("XENLVS_BINARY does not name the static xenlvs binary; run 'make test'")
            }
            return URL(filePath: path)
        }
    }
}

struct ScenarioError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
