/// What keeps a scenario from going on.
package struct ScenarioError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
