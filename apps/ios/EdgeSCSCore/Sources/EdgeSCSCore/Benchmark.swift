/// How to time: `warmup` counts the first inference.
public struct TimingPlan: Equatable, Sendable {
    public let warmup: Int
    public let runs: Int

    public init(warmup: Int = 10, runs: Int = 50) {
        self.warmup = min(max(warmup, 1), 10_000)
        self.runs = min(max(runs, 1), 10_000)
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
        let enlarger = Enlarger(engine: engine, choice: choice, halo: nil, name: name)
        let picture = pattern(choice.lr)
        let guide = try enlarger.guide(choice.reference.map(pattern))
        var (samples, whole): ([Double], [Double]) = ([], [])
        var firstMs = 0.0
        for turn in 0..<plan.warmup + plan.runs {
            let start = clock()
            let answer = try engine.run([enlarger.tensor(picture)] + guide)
            _ = Packing.picture(answer.tensor)
            let pipelineMs = clock() - start
            if turn == 0 { firstMs = answer.inferenceMs }
            if turn >= plan.warmup {
                samples.append(answer.inferenceMs)
                whole.append(pipelineMs)
            }
            try progress(turn + 1, plan.warmup + plan.runs)
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
