import Foundation
import XCTest

@testable import EdgeSCSCore

final class MeasuringTests: XCTestCase {
    private let small = Size(height: 4, width: 6)
    private let large = Size(height: 8, width: 12)

    func testWarmUpIsNotAmongTheSamples() throws {
        var now = 0.0
        let timings = try Timings.measure(
            engine: tinting(to: large), choice: choice(small, large), name: "m", plan: TimingPlan(warmup: 3, runs: 4),
            clock: {
                now += 10
                return now
            })
        XCTAssertEqual(timings.firstMs, 1)  // the rule's n-th call says n ms
        XCTAssertEqual(timings.samples, [4, 5, 6, 7])
        XCTAssertEqual(timings.pipelineMs, 10)
        XCTAssertEqual(timings.statistics.medianMs, 5.5)
        XCTAssertEqual(TimingPlan(warmup: 0, runs: 0), TimingPlan(warmup: 1, runs: 1))
    }

    /// The n-th run takes n seconds by the clock: the tenth ends after 55, the fourteenth after 105, the fifteenth
    /// with the two minutes.
    func testASustainedRunEndsWithItsMinutes() throws {
        let engine = tinting(to: large)
        var heard: [Int] = []
        let run = try Sustained.measure(
            engine: engine, choice: choice(small, large), name: "m", minutes: 2, thermal: { "fair" },
            clock: { Double(engine.calls * (engine.calls + 1) / 2) * 1000 },
            progress: { done, all in
                heard.append(done)
                XCTAssertEqual(all, 120)
            })
        XCTAssertEqual(run.seconds, 105)
        // The rule's n-th call says n ms.
        XCTAssertEqual(
            run.minutes,
            [
                .init(runs: 10, p50Ms: 5, p90Ms: 9, p99Ms: 10, maxMs: 10, thermal: "fair"),
                .init(runs: 4, p50Ms: 12, p90Ms: 14, p99Ms: 14, maxMs: 14, thermal: "fair"),
            ])
        XCTAssertEqual(heard, (1...14).map { $0 * ($0 + 1) / 2 })
        struct Enough: Error {}
        let other = tinting(to: large)
        XCTAssertThrowsError(
            try Sustained.measure(
                engine: other, choice: choice(small, large), name: "m", minutes: 1, thermal: { "fair" },
                clock: { Double(other.calls) * 1000 }, progress: { _, _ in throw Enough() })
        ) { XCTAssert($0 is Enough) }
        XCTAssertEqual(TimingPlan(sustainedMinutes: 99).sustainedMinutes, 60)
    }

    func testAMinutesHeatIsThatOfItsEnd() {
        var said = ["nominal", "fair", "serious"]
        var sorted = MinuteByMinute()
        for ended in [1e3, 59e3, 61e3, 200e3] { sorted.add(endedMs: ended, ms: 1) { said.removeFirst() } }
        let minutes = sorted.minutes { said.removeFirst() }
        XCTAssertEqual(minutes.map(\.thermal), ["nominal", "fair", "fair", "serious"])
        XCTAssertEqual(minutes.map(\.runs), [2, 1, 0, 1])
        XCTAssertNil(minutes[2].p50Ms)
    }

    func testThePatternHasEdges() {
        let picture = Timings.pattern(Size(height: 33, width: 40))
        XCTAssertGreaterThan(Set(picture.grey).count, 30)
    }

    func testASelfTestSeesAWrongAnswer() throws {
        let text = try Vectors("manifest").cases("readable")[0].text("text")
        let manifest = try Manifest.read(Data(text.utf8), name: "m")
        let url = URL(fileURLWithPath: "/none/m.pte")
        let one = choice(small, large)
        let artifact = Artifact(url: url, manifest: manifest, choices: [one])
        let input = Timings.pattern(small)
        let right = try Enlarger(engine: tinting(to: large), choice: one, halo: 0, name: "m").enlarge(input)
        let passed = try SelfTest.run(
            engine: tinting(to: large), artifact: artifact, choice: one, input: input, reference: nil, expected: right)
        XCTAssertEqual(passed.db, Statistics.maxPsnrDb)
        XCTAssertEqual(passed.neededDb, 50)  // the manifest asks for 80, which 8 bits cannot show
        XCTAssertTrue(passed.passed)
        let wrong = Picture(
            size: large, bytes: right.bytes.enumerated().map { $0.offset % 4 == 3 ? 255 : 255 - $0.element })
        let failed = try SelfTest.run(
            engine: tinting(to: large), artifact: artifact, choice: one, input: input, reference: nil, expected: wrong)
        XCTAssertFalse(failed.passed)
        assertRefused("of another size") {
            _ = try SelfTest.run(
                engine: tinting(to: large), artifact: artifact, choice: one, input: right, reference: nil,
                expected: right)
        }
    }

    func testAComputePlanIsSummedUpByDevice() {
        let plan = ComputePlan([
            .init(name: "ios17.conv", device: "Neural Engine", cost: 0.5),
            .init(name: "ios17.conv", device: "Neural Engine", cost: 0.2),
            .init(name: "ios17.softmax", device: "CPU", cost: 0.3),
            .init(name: "ios17.relu", device: "Neural Engine", cost: nil),
            .init(name: "const", device: nil, cost: nil),
        ])
        XCTAssertEqual(plan.devices, ["Neural Engine", "CPU"])
        XCTAssertEqual(plan.shares[0].cost, 0.7, accuracy: 1e-9)
        XCTAssertEqual(plan.shares[0].count, 3)
        XCTAssertEqual(plan.shares[0].operations, ["conv ×2", "relu ×1"])
    }

    func testAMomentIsWrittenInUtc() {
        XCTAssertEqual(LatencyReport.timestamp(Date(timeIntervalSince1970: 1_795_230_000.6)), "2026-11-21T03:00:00Z")
    }

    /// What the app writes after a Core ML run, with times as a clock gives them. `EDGE_SCS_LATENCY` keeps the file for
    /// the report's own reader.
    func testTheDocumentOfACoreMLRun() throws {
        let samples = [4.123456789, 4.0, 5.98765432101, 4.333333333333, 4.1]
        let report = LatencyReport(
            created: LatencyReport.timestamp(Date(timeIntervalSince1970: 1_795_230_000)),
            app: .init(name: "org.edgescs.app", version: "0.1.0"),
            device: Device(model: "iPhone17,1", system: "iOS 18.1", emulated: false),
            model: .init(
                name: "edge_scs_m", file: "edge_scs_m_x4_180x320_coreml-fp16.mlpackage",
                sha256: String(repeating: "ab", count: 32), lr: [180, 320], hr: [720, 1280]),
            runtime: "coreml", runtimeVersion: nil, backends: ["Neural Engine", "CPU"], computeUnits: "all",
            thermalBefore: "nominal", thermalAfter: "fair", warmup: 10, loadMs: 812.5,
            timings: Timings(firstMs: 9.87654321, samples: samples, pipelineMs: 31.25),
            conditions: Conditions(
                buildType: "release", lowPowerMode: false, memory: Memory(beforeMb: 40.5, peakMb: 39), compileMs: 700,
                cachedLoadMs: 31.5,
                plan: ComputePlan([
                    .init(name: "ios17.conv", device: "Neural Engine", cost: 0.9),
                    .init(name: "ios17.softmax", device: "CPU", cost: 0.1),
                    .init(name: "ios17.relu", device: "unknown", cost: nil),
                ]),
                sustained: Sustained(
                    seconds: 60.5,
                    minutes: [
                        .init(runs: 2, p50Ms: 4, p90Ms: 5, p99Ms: 5, maxMs: 5, thermal: "fair"),
                        .init(runs: 0, p50Ms: nil, p90Ms: nil, p99Ms: nil, maxMs: nil, thermal: "serious"),
                    ])))
        let data = try report.json()
        let table = try XCTUnwrap(JSONSerialization.jsonObject(with: data) as? [String: Any])
        XCTAssertEqual(table["runs"] as? Int, 5)
        XCTAssertEqual(table["samples_ms"] as? [Double], [4.123457, 4.0, 5.987654, 4.333333, 4.1])
        XCTAssertTrue(table["runtime_version"] is NSNull)
        XCTAssertEqual(table.count, 32)
        XCTAssertEqual((table["memory"] as? [String: Double])?["peak_mb"], 40.5)  // never below what was before
        let placement = try XCTUnwrap(table["placement"] as? [[String: Any]])
        XCTAssertEqual(placement.map { $0["device"] as? String }, ["neural_engine", "cpu", "unknown"])
        XCTAssertEqual(placement[0]["types"] as? [String: Int], ["conv": 1])
        let minutes = (table["sustained"] as? [String: Any])?["minutes"] as? [[String: Any]]
        XCTAssertTrue(minutes?[1]["p50_ms"] is NSNull)
        if let place = ProcessInfo.processInfo.environment["EDGE_SCS_LATENCY"] {
            try data.write(to: URL(fileURLWithPath: place))
        }
    }
}
