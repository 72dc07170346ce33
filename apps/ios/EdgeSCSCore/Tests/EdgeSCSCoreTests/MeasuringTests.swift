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
            timings: Timings(firstMs: 9.87654321, samples: samples, pipelineMs: 31.25))
        let data = try report.json()
        let table = try XCTUnwrap(JSONSerialization.jsonObject(with: data) as? [String: Any])
        XCTAssertEqual(table["runs"] as? Int, 5)
        XCTAssertEqual(table["samples_ms"] as? [Double], [4.123457, 4.0, 5.987654, 4.333333, 4.1])
        XCTAssertTrue(table["runtime_version"] is NSNull)
        XCTAssertEqual(table.count, 25)
        if let place = ProcessInfo.processInfo.environment["EDGE_SCS_LATENCY"] {
            try data.write(to: URL(fileURLWithPath: place))
        }
    }
}
