// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "xenlvs",
    targets: [
        .target(name: "HostModel", swiftSettings: settings),
        .target(name: "Migration", dependencies: ["HostModel"], swiftSettings: settings),
        .testTarget(name: "MigrationTests", dependencies: ["Migration", "HostModel"], swiftSettings: settings),
        .testTarget(name: "HostModelTests", dependencies: ["HostModel"], swiftSettings: settings),
    ]
)
