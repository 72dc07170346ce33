import EdgeSCSCore
import Foundation
import UIKit

/// What the latency JSON says about the machine and the app.
enum DeviceInfo {
    static let systemMajor = ProcessInfo.processInfo.operatingSystemVersion.majorVersion

    @MainActor static var current: Device {
        let system = "\(UIDevice.current.systemName) \(UIDevice.current.systemVersion)"
        return Device(model: model, system: system, emulated: emulated)
    }

    static var app: LatencyReport.App {
        let info = Bundle.main.infoDictionary ?? [:]
        return LatencyReport.App(
            name: Bundle.main.bundleIdentifier ?? "org.edgescs.app",
            version: info["CFBundleShortVersionString"] as? String ?? "unknown")
    }

    static var thermalState: String {
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: "nominal"
        case .fair: "fair"
        case .serious: "serious"
        case .critical: "critical"
        @unknown default: "unknown"
        }
    }

    /// "iPhone17,1"; in the simulator that of the machine it plays.
    private static var model: String {
        if let played = ProcessInfo.processInfo.environment["SIMULATOR_MODEL_IDENTIFIER"] { return played }
        var system = utsname()
        uname(&system)
        return withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static var emulated: Bool {
        #if targetEnvironment(simulator)
        true
        #else
        ProcessInfo.processInfo.isiOSAppOnMac || ProcessInfo.processInfo.isMacCatalystApp
        #endif
    }
}
