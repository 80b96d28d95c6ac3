import ArgumentParser
import FoundationEssentials
import HostModel
import Hosts
import Migration
import Operations
import Reporting

extension OutputFormat: ExpressibleByArgument {}

/// `--format`, the same for every listing.
struct FormatOption: ParsableArguments {
    @Option(help: "table or json.")
    var format = OutputFormat.table

    func show(_ value: some Renderable) throws {
        Console.result(
            try value.rendered(as: format, width: Terminal.output.isTerminal ? Terminal.output.columns : nil))
    }
}

/// A migration as a row of a listing.
struct MigrationRow: Listable {
    var id: String
    var domain: String
    var source: String
    var target: String
    var state: String
    /// Where the domain runs as far as the journal knows.
    var runsOn: String?
    var totalMilliseconds: Int64

    init(_ report: MigrationReport) {
        id = report.id.text
        domain = report.domain.text
        source = report.source.text
        target = report.target.text
        state = report.outcome.state.rawValue
        runsOn = report.domainRunsOn?.text
        totalMilliseconds = report.totalMilliseconds
    }

    static let columns: [Table.Column] = [
        Table.Column("ID"), Table.Column("DOMAIN"), Table.Column("FROM"), Table.Column("TO"), Table.Column("STATE"),
        Table.Column("RUNS ON"),
    ]
    var cells: [String] { [id, domain, source, target, state, runsOn ?? "-"] }
}

extension MigrationCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the migrations this host took part in.",
            discussion: ExitCodeHelp.reading)
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                try output.show(try MigrationReports(host: try ThisHost.open()).all().map(MigrationRow.init))
                return .done
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: "Show where a migration stands.", discussion: ExitCodeHelp.reading)
        @Argument(help: "The migration's identifier.") var id: String
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                let report = try MigrationReports(host: try ThisHost.open()).report(try MigrationID(id))
                try ReportOutput.show(report, output.format)
                return .done
            }
        }
    }

    struct Report: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "report", abstract: "Show what a migration did: times, freezes, checks.",
            discussion: ExitCodeHelp.reading)
        @Argument(help: "The migration's identifier.") var id: String
        @Option(help: "Write the report as one self-contained page to this file.") var html: String?
        @OptionGroup var output: FormatOption

        func run() async throws {
            try await reporting {
                let report = try MigrationReports(host: try ThisHost.open()).report(try MigrationID(id))
                if let html {
                    try ReportOutput.write(HTMLReport.render(report), to: html)
                    Console.say("the report is in \(html)")
                } else {
                    try ReportOutput.show(report, output.format)
                }
                return .done
            }
        }
    }
}

/// Prints or writes a report.
enum ReportOutput {
    static func show(_ report: MigrationReport, _ format: OutputFormat) throws {
        switch format {
        case .table: Console.result(text(report))
        case .json: Console.result(try PrettyJSON.encode(report))
        }
    }

    /// As it is printed at a migration's end.
    static func text(_ report: MigrationReport) -> String {
        let terminal = Terminal.output
        let style = TerminalStyle.detect(isTerminal: terminal.isTerminal, environment: ProcessEnvironment.variables)
        return TextReport.render(
            report, width: terminal.isTerminal ? terminal.columns : 80, color: style.color, unicode: style.unicode)
    }

    static func write(_ text: String, to path: String) throws {
        do { try Data(text.utf8).write(to: URL(filePath: path), options: .atomic) } catch {
            throw Failure(.failed, "cannot write \(path)", why: String(describing: error))
        }
    }
}
