/// How to time: `warmup` counts the first inference.
public struct TimingPlan: Equatable, Sendable {
    public let warmup: Int
    public let runs: Int
    /// Minutes of one inference after the other when the timed runs are done; 0: none.
    public let sustainedMinutes: Int

    public init(warmup: Int = 10, runs: Int = 50, sustainedMinutes: Int = 0) {
        self.warmup = min(max(warmup, 1), 10_000)
        self.runs = min(max(runs, 1), 10_000)
        self.sustainedMinutes = min(max(sustainedMinutes, 0), 60)
    }
}

/// Milliseconds: `samples` are the runtime's call alone, `pipelineMs` the median with packing and unpacking.
public struct Timings: Equatable, Sendable {
    public let firstMs: Double
    public let samples: [Double]
    public let pipelineMs: Double

    public var statistics: Statistics { Statistics(samples) }

    public init(firstMs: Double, samples: [Double], pipelineMs: Double) {
        self.firstMs = firstMs
        self.samples = samples
        self.pipelineMs = pipelineMs
    }

    /// Time one choice of a freshly loaded engine on a picture of its size. `progress` may throw to cancel.
    public static func measure(
        engine: Engine, choice: Choice, name: String, plan: TimingPlan, clock: () -> Double = Clock.milliseconds,
        progress: Enlarger.Progress = { _, _ in }
    ) throws -> Timings {
        let turn = try Turn(engine: engine, choice: choice, name: name)
        var (samples, whole): ([Double], [Double]) = ([], [])
        var firstMs = 0.0
        for number in 0..<plan.warmup + plan.runs {
            let start = clock()
            let inferenceMs = try turn.run()
            let pipelineMs = clock() - start
            if number == 0 { firstMs = inferenceMs }
            if number >= plan.warmup {
                samples.append(inferenceMs)
                whole.append(pipelineMs)
            }
            try progress(number + 1, plan.warmup + plan.runs)
        }
        return Timings(firstMs: firstMs, samples: samples, pipelineMs: Statistics(whole).medianMs)
    }

    /// A picture with edges and gradients; what it shows does not change the time.
    static func pattern(_ size: Size) -> Picture {
        var bytes: [UInt8] = []
        for y in 0..<size.height {
            for x in 0..<size.width {
                let ramp = UInt8(255 * x / size.width)
                bytes += (x / 16 + y / 16) % 2 == 0 ? [ramp, 128, 255 - ramp, 255] : [255 - ramp, ramp, 64, 255]
            }
        }
        return Picture(size: size, bytes: bytes)
    }
}

/// One inference on a picture of the choice's size, with packing and unpacking.
struct Turn {
    private let engine: Engine
    private let enlarger: Enlarger
    private let picture: Picture
    private let guide: [Tensor]

    init(engine: Engine, choice: Choice, name: String) throws {
        self.engine = engine
        enlarger = Enlarger(engine: engine, choice: choice, halo: nil, name: name)
        picture = Timings.pattern(choice.lr)
        guide = try enlarger.guide(choice.reference.map(Timings.pattern))
    }

    /// Milliseconds of the runtime's own call.
    func run() throws -> Double {
        let answer = try engine.run([enlarger.tensor(picture)] + guide)
        _ = Packing.picture(answer.tensor)
        return answer.inferenceMs
    }
}
