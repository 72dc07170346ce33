import Foundation
import XCTest

@testable import EdgeSCSCore

/// Exported continuous programs, run by ExecuTorch, driven by this core: the pictures that Python's driver makes.
///
/// `EDGE_SCS_REAL` is a folder of apps/runner/real.py: models/<name>/, `<name>.in.ppm`, `<name>.x<scale>.ppm`, with a
/// runner behind the pipes `<name>.requests` and `<name>.answers`. apps/ios/test.sh makes it; skipped without.
final class RealArtifactTests: XCTestCase {
    /// Chunks, a whole magnification, several tiles, a port for hints: at least 80 dB, so that next to no pixel
    /// differs at all. Then the app's own self-test, which a wrong picture must fail.
    func testContinuousPicturesAreThoseOfPython() throws {
        let given = ProcessInfo.processInfo.environment["EDGE_SCS_REAL"] ?? ""
        if given.isEmpty { throw XCTSkip("no EDGE_SCS_REAL") }
        let folder = URL(fileURLWithPath: given)
        let (artifacts, refused) = Artifact.all(
            in: folder.appendingPathComponent("models"), system: 17, executorch: true)
        XCTAssertEqual(refused, [])
        XCTAssertFalse(artifacts.isEmpty)
        for artifact in artifacts {
            let name = artifact.url.deletingLastPathComponent().lastPathComponent
            let facts = try XCTUnwrap(artifact.manifest.facts)
            let engine = try RunnerEngine(folder.appendingPathComponent(name).path)
            let driver = Continuous(engine: engine, facts: facts, name: artifact.id)
            let small = try readPpm(folder.appendingPathComponent("\(name).in.ppm"))
            for by in [1.3, 2.0, 2.7] {
                var tiles = 0
                let got = try driver.enlarge(small, by: by) { done, _ in tiles = done }
                let expected = try readPpm(folder.appendingPathComponent("\(name).x\(by).ppm"))
                XCTAssertEqual(got.size, expected.size)
                let db = Statistics.psnr(got, expected)
                print("continuous \(name) x\(by): \(String(format: "%.1f", db)) dB")
                XCTAssertGreaterThanOrEqual(db, 80, "\(name) x\(by)")
                XCTAssertGreaterThan(tiles, 1)
            }
            if !facts.takesHints { try checkGolden(artifact, engine) }
            try engine.close()
        }
    }

    private func checkGolden(_ artifact: Artifact, _ engine: Engine) throws {
        XCTAssertEqual(artifact.tested.map(\.method), ["x2.7"])
        let choice = artifact.tested[0]
        let golden = try XCTUnwrap(artifact.golden(choice))
        let expected = try readPpm(golden.appendingPathComponent("expected.ppm"))
        let input = try readPpm(golden.appendingPathComponent("input.ppm"))
        let wrong = expected.withoutColour
        for (answer, passes) in [(expected, true), (wrong, false)] {
            let test = try SelfTest.run(
                engine: engine, artifact: artifact, choice: choice, input: input, reference: nil, expected: answer)
            XCTAssertEqual(test.passed, passes, "\(test.db) dB")
            if passes { print("golden: \(artifact.id) \(choice.method) \(String(format: "%.1f", test.db)) dB") }
        }
    }
}
