// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "EdgeSCSCore",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "EdgeSCSCore", targets: ["EdgeSCSCore"])],
    targets: [
        .target(name: "EdgeSCSCore"),
        .testTarget(name: "EdgeSCSCoreTests", dependencies: ["EdgeSCSCore"]),
    ]
)
