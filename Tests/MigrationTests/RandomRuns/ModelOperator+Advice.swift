@testable import Migration

/// What the documentation says is to be typed, and whether that helps.
extension ModelWorld {
    /// What the documentation says is to be typed now, for a migration that has stopped; nil where there is none.
    var documentedCommand: ModelCommand? {
        guard let (id, source) = openMigration else { return nil }
        let (here, there) = (self[source].record(id), self[source.other].record(id))
        if let there, there.isOpen, there.hasDeclaredPeerDead { return .resolve(on: source.other) }
        guard let here, here.isOpen else { return .resume }
        if here.hasDeclaredPeerDead { return .resolve(on: source) }
        if here.isDecided { return .resume }
        // A way back that was cut off without a record, and a target that had nothing to keep: both are told.
        if here.isBehind && there?.isOpen == true || there?.hasDeclaredPeerDead == true { return .abort }
        // DRBD does not connect them again: somebody says which one is good, or this.
        if disks.contains(where: isSplit) { return .abort }
        return self[source].imagesAreOfAnEarlierBoot(id) ? .abort : .resume
    }

    /// From here one documented command has to lead to an end.
    func judgedByOneCommand() -> [String] {
        var copy = self
        copy.trail = nil
        copy.mend()
        guard let command = copy.documentedCommand, let (id, source) = copy.openMigration else {
            return copy.violations
        }
        let news = copy[source.other].record(id)
        var end = copy.type(command, [])
        // A guest that the target lost with its power has to be started there by its operator.
        if copy[source].record(id)?.isDecided == true, copy.isMemoryLost {
            copy.startGuest()
            end = copy.type(command, []) ?? end
        }
        // A source that was called dead stops once, so that it is looked at before it is tidied up.
        if let news, news.hasDeclaredPeerDead, !news.isOpen { end = copy.type(.resume, []) ?? end }
        if case .finished? = end { return copy.violations }
        return copy.violations + [
            "one command (\(command)) does not lead to an end, but to: \(end?.title ?? "nothing")"
        ]
    }
}
