import Testing

@testable import Replication

@Suite("DRBD 8.4's summary")
struct DRBDSummaryTests {
    private static let text = """
        version: 8.4.11 (api:1/proto:86-101)
        srcversion: F73C670A7EC572DB9CF3E5B 
         0: cs:Connected ro:Primary/Primary ds:UpToDate/UpToDate C r-----
            ns:65536 nr:0 dw:40 dr:65536 al:2 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
         1: cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C r-----
            ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:4

         3: cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
            ns:16 nr:0 dw:0 dr:16 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:65520
        \t[>....................] sync'ed:  0.1% (65520/65536)K
         4: cs:Unconfigured
         13: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----
            ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:8
        """

    @Test("Only what is connected, UpToDate twice and without a difference is in step")
    func inStep() {
        #expect(DRBDSummary.isInStep(0, in: Self.text) == true)
        for minor in [1, 3, 13] { #expect(DRBDSummary.isInStep(minor, in: Self.text) == false, "\(minor)") }
    }

    @Test("Of a minor that is not there, or not configured, and of another text it says nothing")
    func unknown() {
        for minor in [2, 4, 10] { #expect(DRBDSummary.isInStep(minor, in: Self.text) == nil, "\(minor)") }
        let ninth = "version: 9.2.2 (api:2/proto:86-121)\nTransports (api:18): tcp (9.2.2)\n"
        #expect(DRBDSummary.isInStep(0, in: ninth) == nil && DRBDSummary.isInStep(0, in: "") == nil)
        #expect(DRBDSummary.isInStep(0, in: String(Self.text.prefix(160))) == nil)
    }
}
