@preconcurrency import Darwin  // mach_task_self_ is a variable, which nobody changes
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

    static var lowPowerMode: Bool { ProcessInfo.processInfo.isLowPowerModeEnabled }

    static var buildType: String {
        #if DEBUG
        "debug"
        #else
        "release"
        #endif
    }

    /// What the system counts against this app, now and at most since it began, in MB; nil where it does not tell.
    static var memory: (nowMb: Double, peakMb: Double)? {
        var info = task_vm_info_data_t()
        var count = mach_msg_type_number_t(
            MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size)
        let result = withUnsafeMutablePointer(to: &info) { pointer in
            pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
            }
        }
        guard result == KERN_SUCCESS, info.phys_footprint > 0 else { return nil }
        return (Double(info.phys_footprint) / 1e6, Double(info.ledger_phys_footprint_peak) / 1e6)
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
