import HostModel
import Replication
import Testing

struct FailureTests {
    private func result(_ code: Int32, _ errors: String) -> CommandResult {
        CommandResult(termination: .exited(code), output: "", errors: errors)
    }

    @Test(
        "What the kernel refused is said in words, with its number and a remedy",
        arguments: [
            (10, "903: Failure: (104) Can not open backing device.\n", 104, Failure.Code.busy),
            (10, "903: Failure: (105) Can not open meta device.\n", 105, .busy),
            (10, "903: Failure: (111) Low.dev. smaller than requested DRBD-dev. size.\n", 111, .refused),
            (10, "903: Failure: (112) Meta device too small.\n", 112, .refused),
            (
                10,
                "903: Failure: (119) No valid meta-data signature found.\n\n\t==> Use 'drbdadm create-md res' ...\n",
                119,
                .refused
            ),
            (10, "900: Failure: (165) Unclean meta-data found.\nYou need to 'drbdadm apply-al res'\n\n", 165, .refused),
            (10, "xenlvs-web1: Failure: (102) Local address(port) already in use.\n", 102, .busy),
            (10, "xenlvs-web1: Failure: (146) VERIFYAlgNotAvail\n", 146, .refused),
            (17, "900: State change failed: (-2) Need access to UpToDate data\n", -2, .refused),
            (11, "901: State change failed: (-1) Multiple primaries not allowed by config\n", -1, .refused),
            (11, "900: State change failed: (-12) Device is held open by someone\n", -12, .busy),
            (11, "900: State change failed: (-15) Need a connection to start verify or resync\n", -15, .refused),
        ] as [(Int32, String, Int, Failure.Code)])
    func recorded(exit: Int32, errors: String, number: Int, code: Failure.Code) throws {
        let failure = try #require(DRBDFailure.explain(result: result(exit, errors), "cannot attach"))
        #expect(DRBDRefusal(errors)?.number == number)
        #expect(failure.code == code)
        #expect(failure.what == "cannot attach")
        #expect(failure.why?.hasSuffix("(\(number))") == true)
        #expect(failure.remedy != nil)
    }

    @Test("What the kernel adds is kept")
    func kernelSays() throws {
        let text = """
            ??: Failure: (162) Invalid configuration request
            additional info from kernel:
            unknown connection
            """
        let refusal = try #require(DRBDRefusal(text))
        #expect(refusal.text == "Invalid configuration request")
        #expect(refusal.kernelSays == "unknown connection")
        #expect(!refusal.isTransient)
        #expect(
            DRBDFailure.explain(result: result(10, text), "cannot disconnect")?.why
                == "Invalid configuration request, unknown connection (162)")
    }

    @Test("A state change that only has to be repeated is known as such")
    func transient() throws {
        let text = """
            xenlvs-web1: State change failed: (-18) In transient state, retry after next state change
            additional info from kernel:
            failed to disconnect
            """
        #expect(try #require(DRBDRefusal(text)).isTransient)
        #expect(DRBDFailure.explain(result: result(11, text), "cannot disconnect")?.code == .busy)
    }

    @Test(
        "What drbdmeta refuses by itself is understood",
        arguments: [
            "Device '901' is configured!\n",
            "open(/dev/ram3) failed: Device or resource busy\n\nExclusive open failed. Do it anyways?\n",
            "\nValid meta data seems to be in place.\nDo you really want to overwrite?\n",
            "\nValid v09 meta-data found, convert to v08?\nstdin not a TTY, not waiting for confirmation\n",
            "Found ext2 filesystem\n\nThis would corrupt existing data.\n",
            "Found some data\n\n ==> This might destroy existing data! <==\n",
            "No valid meta data found\n",
            "Failed to modprobe drbd (No such file or directory)\n",
        ])
    func tools(errors: String) throws {
        let failure = try #require(DRBDFailure.explain(result: result(1, errors), "cannot make metadata"))
        #expect(failure.code == .refused)
        #expect(failure.remedy != nil)
        #expect(failure.why != errors)
    }

    @Test("Success is no failure, and words that nobody knows are passed on")
    func others() {
        #expect(DRBDFailure.explain(result: result(0, "Failure: (104)"), "x") == nil)
        let strange = DRBDFailure.explain(result: result(20, "something else\n"), "cannot do it")
        #expect(strange?.why == "something else")
        #expect(strange?.code == .failed)
        #expect(DRBDFailure.explain(result: result(10, "0: Failure: (198) new"), "x")?.why == "new (198)")
        #expect(DRBDRefusal("Failure: (no number)") == nil)
    }

    @Test("A runner's failure is explained by what it quotes, and keeps its host")
    func runner() {
        let original = Failure(
            .failed, "'drbdsetup primary 900' failed", host: "nodeb",
            why: "exit code 17: 900: State change failed: (-2) Need access to UpToDate data")
        let explained = DRBDFailure.explain(original, "cannot promote web1")
        #expect(explained.code == .refused)
        #expect(explained.host == "nodeb")
        #expect(explained.causes == [original])
        let unknown = Failure(.outcomeUnknown, "x", why: "State change failed: (-2)")
        #expect(DRBDFailure.explain(unknown, "y") == unknown)
    }
}
