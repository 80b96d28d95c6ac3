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
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2", traits: []),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    ],
    targets: [
        .target(name: "HostModel", swiftSettings: settings),
        .target(
            name: "Hosts",
            dependencies: [
                "HostModel", "ImageStream",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Yams", package: "Yams"),
            ], swiftSettings: settings),
        .systemLibrary(name: "CZstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "ImageStream", dependencies: ["HostModel", "CZstd"], swiftSettings: settings),
        .testTarget(
            name: "ImageStreamTests", dependencies: ["ImageStream", "HostModel", "SeedKit"], swiftSettings: settings),
        .systemLibrary(name: "CLVM", providers: [.apt(["liblvm2-dev"])]),
        .systemLibrary(name: "CDevMapper", providers: [.apt(["libdevmapper-dev"])]),
        .target(name: "DeviceMapper", dependencies: ["HostModel", "Storage", "CDevMapper"], swiftSettings: settings),
        .testTarget(
            name: "DeviceMapperTests", dependencies: ["DeviceMapper", "HostModel", "Storage"], swiftSettings: settings),
        .target(name: "LVMHost", dependencies: ["HostModel", "CLVM"], swiftSettings: settings),
        .systemLibrary(name: "CAIO", providers: [.apt(["libaio-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(name: "BlockServer", dependencies: ["HostModel", "CAIO", "CLinux"], swiftSettings: settings),
        .testTarget(
            name: "BlockServerTests", dependencies: ["BlockServer", "DiskKit", "HostModel"], swiftSettings: settings),
        .target(name: "DiskKit", path: "Tests/DiskKit", swiftSettings: settings),
        .target(name: "SeedKit", path: "Tests/SeedKit", swiftSettings: settings),
        .target(name: "AoE", dependencies: ["HostModel", "BlockServer", "CLinux"], swiftSettings: settings),
        .testTarget(
            name: "AoETests",
            dependencies: ["AoE", "BlockServer", "DiskKit", "SeedKit", "HostModel", "CLinux", "xenlvs", "xenlvsd"],
            swiftSettings: settings),
        .target(
            name: "Serving", dependencies: ["AoE", "BlockServer", "CLinux", "HostModel", "Hosts"],
            swiftSettings: settings),
        .testTarget(
            name: "ServingTests",
            dependencies: ["Serving", "AoE", "BlockServer", "CLinux", "HostModel", "Hosts"],
            swiftSettings: settings),
        .target(
            name: "ISCSI", dependencies: ["HostModel", .product(name: "Yams", package: "Yams")],
            swiftSettings: settings),
        .target(
            name: "ISCSIHost", dependencies: ["DeviceMapper", "HostModel", "Hosts", "ImageStream", "ISCSI", "Storage"],
            swiftSettings: settings),
        .systemLibrary(name: "CISCSI", providers: [.apt(["libiscsi-dev"])]),
        .target(
            name: "ISCSIProbe", dependencies: ["CISCSI", "HostModel", "ISCSI", "ISCSIHost"], swiftSettings: settings),
        .testTarget(
            name: "ISCSIHostTests", dependencies: ["ISCSIHost", "ISCSI", "SeedKit", "HostModel", "Hosts", "Storage"],
            swiftSettings: settings),
        .testTarget(
            name: "ISCSITests", dependencies: ["ISCSI", "SeedKit", "HostModel"], exclude: ["Fixtures"],
            swiftSettings: settings),
        .target(name: "Storage", dependencies: ["HostModel"], swiftSettings: settings),
        .target(name: "Replication", dependencies: ["HostModel"], swiftSettings: settings),
        .target(name: "Domains", dependencies: ["HostModel"], swiftSettings: settings),
        .target(name: "Reporting", dependencies: ["HostModel", "Migration"], swiftSettings: settings),
        .executableTarget(
            name: "xenlvs",
            dependencies: [
                "AoE", "BlockServer", "DeviceMapper", "HostModel", "Hosts", "ISCSI", "ISCSIHost", "ISCSIProbe",
                "LVMHost", "Migration",
                "Operations", "Reporting", "Serving", "Storage",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "xenlvsd",
            dependencies: [
                "AoE", "CLinux", "HostModel", "Hosts", "Operations", "Serving",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings),
        .target(
            name: "Operations",
            dependencies: [
                "AoE", "BlockServer", "CLinux", "DeviceMapper", "HostModel", "Hosts", "ISCSI", "ISCSIHost", "Serving",
                "Storage", "Replication", "Domains", "Migration", "ImageStream", "Reporting",
            ], swiftSettings: settings),
        .target(name: "Migration", dependencies: ["HostModel", "Storage"], swiftSettings: settings),
        .testTarget(
            name: "MigrationTests", dependencies: ["Migration", "SeedKit", "HostModel"], swiftSettings: settings),
        .testTarget(
            name: "ReplicationTests", dependencies: ["Replication", "HostModel"], exclude: ["Fixtures"],
            swiftSettings: settings),
        .testTarget(name: "DomainsTests", dependencies: ["Domains", "HostModel"], swiftSettings: settings),
        .testTarget(name: "StorageTests", dependencies: ["Storage", "HostModel"], swiftSettings: settings),
        .testTarget(name: "LVMHostTests", dependencies: ["LVMHost", "HostModel"], swiftSettings: settings),
        .testTarget(
            name: "ReportingTests", dependencies: ["Reporting", "Migration", "Storage", "HostModel"],
            swiftSettings: settings),
        .executableTarget(
            name: "bench-aoe", dependencies: ["CLinux"], path: "Tests/BenchAoE", swiftSettings: settings),
        .target(name: "LabKit", path: "Tests/Lab/LabKit", swiftSettings: settings),
        .executableTarget(
            name: "xenlvs-lab",
            dependencies: [
                "LabKit", "ScenarioKit", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/Lab/LabCommand", swiftSettings: settings),
        .testTarget(
            name: "LabKitTests", dependencies: ["LabKit"], path: "Tests/Lab/LabKitTests", swiftSettings: settings),
        .target(
            name: "ScenarioKit", dependencies: ["LabKit", "SeedKit"], path: "Tests/Lab/ScenarioKit",
            swiftSettings: settings),
        .testTarget(
            name: "ScenarioKitTests", dependencies: ["ScenarioKit"], path: "Tests/Lab/ScenarioKitTests",
            swiftSettings: settings),
        .testTarget(
            name: "ScenarioTests", dependencies: ["LabKit", "ScenarioKit"], path: "Tests/Lab/Scenarios",
            swiftSettings: settings),
        .testTarget(
            name: "OperationsTests",
            dependencies: [
                "AoE", "DeviceMapper", "ISCSI", "Operations", "HostModel", "Hosts", "Storage", "Replication", "Domains",
                "Migration", "Reporting", "ImageStream", .product(name: "GRDB", package: "GRDB.swift"),
            ], exclude: ["Fixtures"], swiftSettings: settings),
        .testTarget(name: "CommandLineTests", dependencies: ["xenlvs", "HostModel", "ISCSI"], swiftSettings: settings),
        .testTarget(name: "HostModelTests", dependencies: ["HostModel"], swiftSettings: settings),
    ]
)
