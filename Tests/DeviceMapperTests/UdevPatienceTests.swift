import Testing

@testable import DeviceMapper

@Suite("How long udev is waited for")
struct UdevPatienceTests {
    @Test("One that is done is not waited for, and one that takes a moment is")
    func quick() {
        let patience = UdevPatience(.seconds(60), afterwards: .zero)
        #expect(patience.wait { true })
        var looks = 0
        let isInTime = patience.wait {
            looks += 1
            return looks == 5
        }
        #expect(isInTime && looks == 5)
    }

    @Test("One that hangs is given up, sooner each further time, and trusted again once it works")
    func hanging() {
        let patience = UdevPatience(.milliseconds(300), afterwards: .milliseconds(30))
        func timeWaited() -> Duration {
            let began = ContinuousClock.now
            #expect(!patience.wait { false })
            return began.duration(to: .now)
        }
        #expect(timeWaited() >= .milliseconds(300))
        var looks = 0
        let isInTime = patience.wait {
            looks += 1
            return false
        }
        // Not for the 300 ms, which would be 150 looks.
        #expect(!isInTime && looks <= 16)
        #expect(patience.wait { true })
        #expect(timeWaited() >= .milliseconds(300))
    }
}
