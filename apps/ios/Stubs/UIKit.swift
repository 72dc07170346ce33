// Signatures only; and what Darwin's Foundation has beyond the open-source one.
@_exported import Foundation

@MainActor public final class UIDevice {
    public static var current: UIDevice { fatalError() }
    public var systemName: String { fatalError() }
    public var systemVersion: String { fatalError() }
}

@MainActor public final class UIApplication {
    public static var shared: UIApplication { fatalError() }
    public var isIdleTimerDisabled: Bool {
        get { fatalError() }
        set { fatalError() }
    }
}

public final class NSDataAsset {
    public init?(name: String) { fatalError() }
    public var data: Data { fatalError() }
}

extension ProcessInfo {
    public enum ThermalState: Int, Sendable { case nominal, fair, serious, critical }
    public var thermalState: ThermalState { fatalError() }
    public var isLowPowerModeEnabled: Bool { fatalError() }
    public var isiOSAppOnMac: Bool { fatalError() }
    public var isMacCatalystApp: Bool { fatalError() }
}
