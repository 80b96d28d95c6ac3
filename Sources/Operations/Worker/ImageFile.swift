import HostModel
import Migration

/// The parts of an image's file name: `ID.PURPOSE.BOOT.image`, and `.spent` or `.spent.new` behind it.
///
/// It is taken apart from its end: an identifier may have dots in it, so that the files of one migration may begin like
/// those of another.
struct ImageFileName: Equatable {
    var migration: MigrationID
    var purpose: SavedImages.Purpose
    var isSpent: Bool

    /// Nil for a name that no image has.
    init?(_ name: String) {
        var rest = name[...]
        let isMark = rest.hasSuffix(".new")
        if isMark { rest = rest.dropLast(4) }
        isSpent = rest.hasSuffix(".spent")
        if isSpent { rest = rest.dropLast(6) }
        guard isSpent || !isMark, rest.hasSuffix(".image") else { return nil }
        rest = rest.dropLast(6)
        guard let dot = rest.lastIndex(of: "."), Self.isBoot(rest[dot...].dropFirst()) else { return nil }
        rest = rest[..<dot]
        guard let purpose = SavedImages.Purpose.allCases.first(where: { rest.hasSuffix("." + $0.rawValue) }),
            let migration = try? MigrationID(String(rest.dropLast(purpose.rawValue.utf8.count + 1)))
        else { return nil }
        (self.migration, self.purpose) = (migration, purpose)
    }

    /// The beginning of a boot's identifier, as `SavedImages` takes it.
    private static func isBoot(_ text: Substring) -> Bool {
        text == "unknown" || text.utf8.count == 8 && text.utf8.allSatisfy("0123456789abcdef".utf8.contains)
    }
}

/// A file in the directory of saved images.
struct ImageFile {
    var path: String
    /// Nil where it is none of xenlvs's.
    var name: ImageFileName?
    var size: ByteCount
    var mode: UInt32
    /// Saved since this host was started.
    var isOfThisBoot: Bool
}
