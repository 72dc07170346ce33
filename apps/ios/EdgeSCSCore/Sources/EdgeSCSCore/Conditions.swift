/// The app's process in MB (10^6 bytes): before the model was loaded, and its peak.
public struct Memory: Encodable, Equatable, Sendable {
    public let beforeMb: Double
    public let peakMb: Double

    public init(beforeMb: Double, peakMb: Double) {
        self.beforeMb = beforeMb
        self.peakMb = max(beforeMb, peakMb)
    }

    private enum CodingKeys: String, CodingKey {
        case beforeMb = "before_mb"
        case peakMb = "peak_mb"
    }
}

/// Under what a model was measured, beside the times. Nil: the system does not report it, or it was not measured.
public struct Conditions: Equatable, Sendable {
    /// "debug", "benchmark" or "release".
    public var buildType: String
    public var lowPowerMode: Bool?
    public var memory: Memory?
    /// Core ML's compilation of the package, a part of `loadMs`.
    public var compileMs: Double?
    /// Loading once more.
    public var cachedLoadMs: Double?
    public var plan: ComputePlan?
    public var sustained: Sustained?

    public init(
        buildType: String, lowPowerMode: Bool? = nil, memory: Memory? = nil, compileMs: Double? = nil,
        cachedLoadMs: Double? = nil, plan: ComputePlan? = nil, sustained: Sustained? = nil
    ) {
        (self.buildType, self.lowPowerMode, self.memory) = (buildType, lowPowerMode, memory)
        (self.compileMs, self.cachedLoadMs) = (compileMs, cachedLoadMs)
        (self.plan, self.sustained) = (plan, sustained)
    }
}

/// One inference after the other for minutes.
public struct Sustained: Encodable, Equatable, Sendable {
    /// The runs that ended in one minute, nearest ranks in milliseconds, nil where none did.
    public struct Minute: Equatable, Sendable {
        public let runs: Int
        public let p50Ms, p90Ms, p99Ms, maxMs: Double?
        /// When it was over.
        public let thermal: String

        public init(runs: Int, p50Ms: Double?, p90Ms: Double?, p99Ms: Double?, maxMs: Double?, thermal: String) {
            (self.runs, self.p50Ms, self.p90Ms) = (runs, p50Ms, p90Ms)
            (self.p99Ms, self.maxMs, self.thermal) = (p99Ms, maxMs, thermal)
        }

        init(_ times: [Double], thermal: String) {
            let sorted = times.sorted()
            let n = sorted.count
            let rank = { (percent: Int) -> Double? in n == 0 ? nil : sorted[(percent * n + 99) / 100 - 1] }
            self.init(
                runs: n, p50Ms: rank(50), p90Ms: rank(90), p99Ms: rank(99), maxMs: sorted.last, thermal: thermal)
        }
    }

    /// From the first one's start to the last one's end.
    public let seconds: Double
    public let minutes: [Minute]

    public init(seconds: Double, minutes: [Minute]) {
        self.seconds = seconds
        self.minutes = minutes
    }

    /// One inference after the other for `minutes`, packing and unpacking between them as an app would. The run that is
    /// under way when they are over does not count, unless it is the only one. `thermal` is asked once a minute;
    /// `progress` hears (seconds done, of all) at most once a second and may throw to cancel.
    public static func measure(
        engine: Engine, choice: Choice, name: String, minutes: Int, thermal: () -> String,
        clock: () -> Double = Clock.milliseconds, progress: Enlarger.Progress = { _, _ in }
    ) throws -> Sustained {
        let turn = try Turn(engine: engine, choice: choice, name: name)
        let all = Double(minutes) * MinuteByMinute.minuteMs
        var sorted = MinuteByMinute()
        var (seconds, said) = (0.0, 0)
        let start = clock()
        while true {
            let inferenceMs = try turn.run()
            let ended = clock() - start
            if ended < all || seconds == 0 {
                sorted.add(endedMs: ended, ms: inferenceMs, thermal: thermal)
                seconds = ended / 1e3
            }
            if ended >= all { return Sustained(seconds: seconds, minutes: sorted.minutes(thermal: thermal)) }
            if Int(ended / 1e3) > said {
                said = Int(ended / 1e3)
                try progress(said, minutes * 60)
            }
        }
    }

    private enum Key: String, CodingKey { case seconds, runs, minutes }

    public func encode(to encoder: Encoder) throws {
        var table = encoder.container(keyedBy: Key.self)
        try table.encode(LatencyReport.rounded(seconds), forKey: .seconds)
        try table.encode(minutes.map(\.runs).reduce(0, +), forKey: .runs)
        try table.encode(minutes, forKey: .minutes)
    }
}

extension Sustained.Minute: Encodable {
    private enum Key: String, CodingKey {
        case runs, thermal
        case p50Ms = "p50_ms"
        case p90Ms = "p90_ms"
        case p99Ms = "p99_ms"
        case maxMs = "max_ms"
    }

    public func encode(to encoder: Encoder) throws {
        var table = encoder.container(keyedBy: Key.self)
        try table.encode(runs, forKey: .runs)
        for (key, ms) in [(Key.p50Ms, p50Ms), (.p90Ms, p90Ms), (.p99Ms, p99Ms), (.maxMs, maxMs)] {
            try table.encode(ms.map(LatencyReport.rounded), forKey: key)  // nil is written as null
        }
        try table.encode(thermal, forKey: .thermal)
    }
}

/// Sorts runs into the minutes in which they ended.
struct MinuteByMinute {
    static let minuteMs = 60_000.0

    private var times: [[Double]] = []
    private var heat: [String] = []

    /// A run of `ms` that ended `endedMs` after the first one began. `thermal` is asked where a minute is over.
    mutating func add(endedMs: Double, ms: Double, thermal: () -> String) {
        let minute = Int(endedMs / Self.minuteMs)
        if minute >= times.count && !times.isEmpty {
            let now = thermal()
            while heat.count < minute { heat.append(now) }
        }
        while times.count <= minute { times.append([]) }
        times[minute].append(ms)
    }

    func minutes(thermal: () -> String) -> [Sustained.Minute] {
        let last = heat.count < times.count ? thermal() : ""
        return times.enumerated().map { i, ms in .init(ms, thermal: i < heat.count ? heat[i] : last) }
    }
}
