import ScenarioKit
import Testing

@Suite("Promotions by force")
struct ForcedPromotionTests {
    private static let right = (
        "cs:StandAlone ro:Secondary/Unknown ds:Inconsistent/DUnknown   r----s",
        "0000000000000004:0000000000000000:0000000000000000:0000000000000000:0:0:0:0:0:0:0:0",
        "web1-20261121-0c90.1.6f3c.image"
    )

    private func problem(
        _ state: String, _ generations: String, _ images: String, besideSavedGuest: Bool = true
    ) -> String? {
        ForcedPromotion(line: "primary 0 --force|\(state)|\(generations)|\(images)")?
            .problem(besideSavedGuest: besideSavedGuest)
    }

    @Test("Force is right on new metadata, and beside a saved guest where the method saves it")
    func rightPlace() {
        let (state, generations, images) = Self.right
        #expect(problem(state, generations, images) == nil)
        #expect(problem(state, generations, "", besideSavedGuest: false) == nil)
    }

    @Test("Anywhere else it is a fault")
    func wrongPlaces() {
        let (state, generations, images) = Self.right
        let outdated = state.replacing("Inconsistent", with: "Outdated")
        #expect(problem(outdated, generations, images)?.contains("the disk was not new") == true)
        let used = generations.replacing("0004:", with: "A30D:")
        #expect(problem(state, used, images)?.contains("its metadata was not new") == true)
        #expect(problem(state, generations, "")?.contains("no saved guest") == true)
    }

    @Test("A line that a power cut has torn says nothing")
    func torn() {
        for line in ["", "\0\0\0\0", "primary 0 --force", "primary 0 --force|cs:StandAlone|00"] {
            #expect(ForcedPromotion(line: line) == nil)
        }
    }
}
