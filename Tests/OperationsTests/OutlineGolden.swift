/// Recorded outlines.
enum OutlineGolden {
    static let late = "TO BE RECORDED"
}
