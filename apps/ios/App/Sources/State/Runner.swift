import EdgeSCSCore
import Foundation

/// What to run, and on what.
struct Setup: Hashable, Sendable {
    var artifact: Artifact
    var choice: Choice
    var units: ComputeUnits

    var isCoreML: Bool { artifact.manifest.target == "coreml" }

    /// What an engine is loaded for: one continuous program serves every magnification.
    var loading: Setup {
        guard choice.magnification != nil else { return self }
        return Setup(artifact: artifact, choice: artifact.choices[0], units: units)
    }
}

/// A benchmark's outcome: what goes into the JSON, and what only the screen shows.
struct Measurement: Sendable {
    let setup: Setup
    let report: LatencyReport
    let times: LoadTimes
    let plan: ComputePlan?
}

/// An enlarged picture and how long it took.
struct Enlarged: Sendable {
    let picture: Picture
    let totalMs: Double
    let inferenceMs: Double
    let tiles: Int
}

/// Runs artifacts, one thing at a time and away from the screen; keeps the last engine loaded.
actor Runner {
    private var loaded: (setup: Setup, engine: Engine)?
    private var checked: Set<URL> = []
    private var last: Task<Void, Never>?

    func enlarge(
        _ picture: Picture, reference: Picture?, keepColours: Bool, setup: Setup,
        progress: @escaping @Sendable (Double) -> Void
    ) async throws -> Enlarged {
        try await alone {
            try await self.enlargeNow(
                picture, reference: reference, keepColours: keepColours, setup: setup, progress: progress)
        }
    }

    func selfTest(_ setup: Setup) async throws -> SelfTest {
        try await alone { try await self.selfTestNow(setup) }
    }

    /// Load freshly (cold, then once more), time, and ask Core ML for its plan.
    func measure(
        _ setup: Setup, plan timing: TimingPlan, device: Device, progress: @escaping @Sendable (Double) -> Void
    ) async throws -> Measurement {
        try await alone { try await self.measureNow(setup, plan: timing, device: device, progress: progress) }
    }

    /// One after the other. An actor alone does not see to that: wherever it awaits, the next call comes in, and two
    /// screens would compile, load and replace the one engine under each other.
    private func alone<T: Sendable>(_ work: @escaping @Sendable () async throws -> T) async throws -> T {
        let before = last
        let task = Task {
            await before?.value
            try Task.checkCancellation()
            return try await work()
        }
        last = Task { _ = try? await task.value }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}

extension Runner {
    private func enlargeNow(
        _ picture: Picture, reference: Picture?, keepColours: Bool, setup: Setup,
        progress: @escaping @Sendable (Double) -> Void
    ) async throws -> Enlarged {
        let engine = Stopwatch(try await engine(setup))
        let (manifest, name) = (setup.artifact.manifest, setup.artifact.id)
        var tiles = 0
        let heard = { (done: Int, all: Int) in
            try Task.checkCancellation()
            tiles = all
            progress(Double(done) / Double(all))
        }
        let start = Clock.milliseconds()
        let large: Picture
        if let facts = manifest.facts, let by = setup.choice.magnification {
            let driver = Continuous(engine: engine, facts: facts, name: name)
            large = try driver.enlarge(picture, by: by, keepColours: keepColours, progress: heard)
        } else {
            let enlarger = Enlarger(engine: engine, choice: setup.choice, halo: manifest.halo, name: name)
            large = try enlarger.enlarge(picture, reference: reference, keepColours: keepColours, progress: heard)
        }
        return Enlarged(
            picture: large, totalMs: Clock.milliseconds() - start, inferenceMs: engine.totalMs, tiles: tiles)
    }

    private func selfTestNow(_ setup: Setup) async throws -> SelfTest {
        guard let golden = setup.artifact.golden(setup.choice) else {
            throw ArtifactError("\(setup.artifact.id): has no golden pair; run edge-scs apps prepare again")
        }
        let input = try PictureFile.exact(golden.appendingPathComponent("input.png"))
        let expected = try PictureFile.exact(golden.appendingPathComponent("expected.png"))
        let led = setup.choice.reference != nil
        let reference = led ? try PictureFile.exact(golden.appendingPathComponent("reference.png")) : nil
        return try SelfTest.run(
            engine: try await engine(setup), artifact: setup.artifact, choice: setup.choice, input: input,
            reference: reference, expected: expected)
    }

    private func measureNow(
        _ setup: Setup, plan timing: TimingPlan, device: Device, progress: @escaping @Sendable (Double) -> Void
    ) async throws -> Measurement {
        if setup.choice.magnification != nil {
            throw ArtifactError("\(setup.artifact.id): is a continuous program; measure one of a fixed size")
        }
        try check(setup.artifact)
        loaded = nil
        let (before, memory, lowPower) = (DeviceInfo.thermalState, DeviceInfo.memory, DeviceInfo.lowPowerMode)
        var (engine, times) = try await open(setup, fresh: true)
        let first = timing.sustainedMinutes == 0 ? 1 : 0.02  // the timed runs' part of the bar
        let timings = try Timings.measure(
            engine: engine, choice: setup.choice, name: setup.artifact.id, plan: timing,
            progress: { done, all in
                try Task.checkCancellation()
                progress(first * Double(done) / Double(all))
            })
        let sustained =
            timing.sustainedMinutes == 0
            ? nil
            : try Sustained.measure(
                engine: engine, choice: setup.choice, name: setup.artifact.id, minutes: timing.sustainedMinutes,
                thermal: { DeviceInfo.thermalState },
                progress: { done, all in
                    try Task.checkCancellation()
                    progress(first + (1 - first) * Double(done) / Double(all))
                })
        let (after, peak) = (DeviceInfo.thermalState, DeviceInfo.memory)
        let plan = try? await (engine as? CoreMLEngine)?.plan()
        let backends = engine.backends
        (engine, times.cachedMs) = try await reopened(setup)
        loaded = (setup, engine)
        let report = LatencyReport(
            created: LatencyReport.timestamp(Date()), app: DeviceInfo.app, device: device,
            model: .init(setup.artifact, setup.choice), runtime: setup.artifact.manifest.target,
            runtimeVersion: setup.isCoreML ? nil : ExecuTorchEngine.version, backends: backends,
            computeUnits: setup.isCoreML ? setup.units.rawValue : nil, thermalBefore: before, thermalAfter: after,
            warmup: timing.warmup, loadMs: times.totalMs, timings: timings,
            conditions: Conditions(
                buildType: DeviceInfo.buildType, lowPowerMode: lowPower,
                memory: memory.flatMap { memory in
                    peak.map { Memory(beforeMb: memory.nowMb, peakMb: $0.peakMb) }
                },
                compileMs: times.compileMs, cachedLoadMs: times.cachedMs, plan: plan, sustained: sustained))
        return Measurement(setup: setup, report: report, times: times, plan: plan)
    }

    private func reopened(_ setup: Setup) async throws -> (Engine, Double) {
        let (engine, times) = try await open(setup, fresh: false)
        return (engine, times.coldMs)
    }

    private func engine(_ setup: Setup) async throws -> Engine {
        if let loaded, loaded.setup.loading == setup.loading { return loaded.engine }
        try check(setup.artifact)
        loaded = nil  // the old one's memory first
        let engine = try await open(setup, fresh: false).0
        loaded = (setup, engine)
        return engine
    }

    private func open(_ setup: Setup, fresh: Bool) async throws -> (Engine, LoadTimes) {
        if setup.isCoreML {
            let opened = try await CoreMLEngine.open(setup.artifact, setup.choice, units: setup.units, fresh: fresh)
            return (opened.engine, opened.times)
        }
        let opened = try ExecuTorchEngine.open(setup.artifact, setup.choice)
        return (opened.engine, opened.times)
    }

    private func check(_ artifact: Artifact) throws {
        if checked.contains(artifact.url) { return }
        try artifact.checkDigest()
        checked.insert(artifact.url)
    }
}

/// Adds up what the runtime itself takes.
private final class Stopwatch: Engine {
    private let engine: Engine
    private(set) var totalMs = 0.0

    init(_ engine: Engine) { self.engine = engine }

    var backends: [String] { engine.backends }

    func run(_ inputs: [Tensor]) throws -> Answer {
        let answer = try engine.run(inputs)
        totalMs += answer.inferenceMs
        return answer
    }

    func runAll(_ method: String, _ inputs: [Tensor]) throws -> Outputs {
        let outputs = try engine.runAll(method, inputs)
        totalMs += outputs.inferenceMs
        return outputs
    }
}
