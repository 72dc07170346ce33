import Foundation

/// What the app knows about the machine that it runs on.
public struct Device: Equatable, Sendable {
    /// "iPhone17,1"
    public let model: String
    /// "iOS 18.1"
    public let system: String
    /// A simulator, or an iPad app on a Mac: never shown as a phone's time.
    public let emulated: Bool

    public init(model: String, system: String, emulated: Bool) {
        (self.model, self.system, self.emulated) = (model, system, emulated)
    }
}

/// One measurement as `latency.json` (edge_scs/phones/latency.schema.json), for `edge-scs report --device-results`.
public struct LatencyReport: Equatable, Sendable {
    public struct App: Encodable, Equatable, Sendable {
        public let name: String
        public let version: String
        public let platform: String

        public init(name: String, version: String, platform: String = "ios") {
            (self.name, self.version, self.platform) = (name, version, platform)
        }
    }

    public struct Model: Encodable, Equatable, Sendable {
        public let name: String
        public let file: String
        public let sha256: String
        public let lr: [Int]
        public let hr: [Int]

        public init(name: String, file: String, sha256: String, lr: [Int], hr: [Int]) {
            (self.name, self.file, self.sha256, self.lr, self.hr) = (name, file, sha256, lr, hr)
        }

        public init(_ artifact: Artifact, _ choice: Choice) {
            let manifest = artifact.manifest
            self.init(
                name: manifest.model, file: manifest.artifact, sha256: manifest.sha256,
                lr: [choice.lr.height, choice.lr.width], hr: [choice.hr.height, choice.hr.width])
        }
    }

    /// UTC, to the second: 2026-11-21T03:00:00Z
    public var created: String
    public var app: App
    public var device: Device
    public var soc: String?
    public var model: Model
    /// "coreml" or "executorch"
    public var runtime: String
    /// Nil for Core ML, which is the system's.
    public var runtimeVersion: String?
    public var backends: [String]
    /// What Core ML was allowed to use; nil for ExecuTorch.
    public var computeUnits: String?
    /// CPU threads asked for; nil: the runtime's own choice.
    public var threads: Int?
    public var thermalBefore: String
    public var thermalAfter: String
    public var warmup: Int
    public var loadMs: Double
    public var timings: Timings
    public var conditions: Conditions

    public init(
        created: String, app: App, device: Device, soc: String? = nil, model: Model, runtime: String,
        runtimeVersion: String?, backends: [String], computeUnits: String?, threads: Int? = nil, thermalBefore: String,
        thermalAfter: String, warmup: Int, loadMs: Double, timings: Timings, conditions: Conditions
    ) {
        (self.created, self.app, self.device, self.soc, self.model) = (created, app, device, soc, model)
        (self.runtime, self.runtimeVersion, self.backends) = (runtime, runtimeVersion, backends)
        (self.computeUnits, self.threads) = (computeUnits, threads)
        (self.thermalBefore, self.thermalAfter) = (thermalBefore, thermalAfter)
        (self.warmup, self.loadMs, self.timings, self.conditions) = (warmup, loadMs, timings, conditions)
    }

    /// The document, keys sorted, UTF-8.
    public func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self) + Data("\n".utf8)
    }

    /// A moment as `created` wants it.
    public static func timestamp(_ date: Date) -> String {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime]
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        return formatter.string(from: date)
    }
}

extension LatencyReport: Encodable {
    private enum Key: String, CodingKey {
        case schemaVersion = "schema_version"
        case created, emulated, app, device, os, soc, model, runtime, backends, threads, warmup, runs
        case runtimeVersion = "runtime_version"
        case computeUnits = "compute_units"
        case thermalBefore = "thermal_before"
        case thermalAfter = "thermal_after"
        case samplesMs = "samples_ms"
        case medianMs = "median_ms"
        case p90Ms = "p90_ms"
        case minMs = "min_ms"
        case trimmedMeanMs = "trimmed_mean_ms"
        case loadMs = "load_ms"
        case firstMs = "first_ms"
        case pipelineMs = "pipeline_ms"
        case compileMs = "compile_ms"
        case cachedLoadMs = "cached_load_ms"
        case buildType = "build_type"
        case lowPowerMode = "low_power_mode"
        case memory, placement, sustained
    }

    public func encode(to encoder: Encoder) throws {
        var table = encoder.container(keyedBy: Key.self)
        try table.encode(2, forKey: .schemaVersion)
        try table.encode(created, forKey: .created)
        try table.encode(device.emulated, forKey: .emulated)
        try table.encode(app, forKey: .app)
        try table.encode(device.model, forKey: .device)
        try table.encode(device.system, forKey: .os)
        try table.encode(soc, forKey: .soc)  // nil is written as null: the schema wants every key
        try table.encode(model, forKey: .model)
        try table.encode(runtime, forKey: .runtime)
        try table.encode(runtimeVersion, forKey: .runtimeVersion)
        try table.encode(backends, forKey: .backends)
        try table.encode(computeUnits, forKey: .computeUnits)
        try table.encode(threads, forKey: .threads)
        try table.encode(thermalBefore, forKey: .thermalBefore)
        try table.encode(thermalAfter, forKey: .thermalAfter)
        try table.encode(warmup, forKey: .warmup)
        try table.encode(timings.samples.count, forKey: .runs)
        // Rounded first, so that the figures follow from the samples as they are written.
        let samples = timings.samples.map(Self.rounded)
        let statistics = Statistics(samples)
        try table.encode(samples, forKey: .samplesMs)
        try table.encode(statistics.medianMs, forKey: .medianMs)
        try table.encode(statistics.p90Ms, forKey: .p90Ms)
        try table.encode(statistics.minMs, forKey: .minMs)
        try table.encode(statistics.trimmedMeanMs, forKey: .trimmedMeanMs)
        try table.encode(Self.rounded(loadMs), forKey: .loadMs)
        try table.encode(Self.rounded(timings.firstMs), forKey: .firstMs)
        try table.encode(Self.rounded(timings.pipelineMs), forKey: .pipelineMs)
        try table.encode(conditions.compileMs.map(Self.rounded), forKey: .compileMs)
        try table.encode(conditions.cachedLoadMs.map(Self.rounded), forKey: .cachedLoadMs)
        try table.encode(conditions.buildType, forKey: .buildType)
        try table.encode(conditions.lowPowerMode, forKey: .lowPowerMode)
        try table.encode(conditions.memory, forKey: .memory)
        try table.encode(conditions.plan?.shares, forKey: .placement)
        try table.encode(conditions.sustained, forKey: .sustained)
    }

    /// To nanoseconds, the clock's own unit.
    static func rounded(_ ms: Double) -> Double { (ms * 1e6).rounded() / 1e6 }
}
