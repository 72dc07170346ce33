import Foundation
import XCTest

@testable import EdgeSCSCore

/// What Python computes, computed here: every file of apps/testdata.
final class VectorsTests: XCTestCase {
    func testTiling() throws {
        let file = try Vectors("tiling")
        for vector in try file.cases() {
            let (lr, tile) = (try vector.int("lr"), try vector.int("tile"))
            let what = "lr \(lr) in tiles of \(tile)"
            let hrTile = try vector.int("hr_tile")
            let axis = Tiling.axis(lr: lr, tile: tile, hrTile: hrTile, halo: try vector.int("halo"))
            if vector.has("refused") {
                XCTAssertNil(axis, what)
                continue
            }
            let found = try XCTUnwrap(axis, what)
            XCTAssertEqual(found.starts, try vector.ints("starts"), what)
            XCTAssertEqual(found.hrStarts, try vector.ints("hr_starts"), what)
            guard vector.has("weights") else { continue }
            let rows = try vector.rows("weights")
            XCTAssertEqual(found.weights.count, rows.count, what)
            for (got, row) in zip(found.weights, rows) { assertClose(got, row, try file.double("tolerance"), what) }
        }
    }

    func testBlending() throws {
        let file = try Vectors("blending")
        XCTAssertEqual(try file.int("tolerance_levels"), 0)
        for vector in try file.cases() {
            let (lr, tile, hr) = (try vector.size("lr"), try vector.size("tile"), try vector.size("hr_tile"))
            let grey = Picture.grey(try vector.ints("grey").map { UInt8($0) }, lr)
            let enlarger = Enlarger(
                engine: tinting(to: hr), choice: choice(tile, hr), halo: try vector.int("halo"), name: "m.pte")
            let got = try enlarger.enlarge(grey)
            XCTAssertEqual(got.size, try vector.size("size"), "picture of \(lr)")
            XCTAssertEqual(got, try vector.picture("argb", got.size), "picture of \(lr)")
        }
    }

    func testPacking() throws {
        let file = try Vectors("packing")
        let tolerance = try file.double("tolerance")
        let picture = try file.picture("argb")
        XCTAssertEqual(picture.grey.map { Int($0) }, try file.ints("grey"))
        XCTAssertEqual(Packing.greyTensor(picture).values, try file.floats("grey_tensor"))
        XCTAssertEqual(Packing.rgbTensor(picture).values, try file.floats("rgb_tensor"))
        let ycc = Packing.yccFromRgb(Packing.rgbTensor(picture))
        assertClose(ycc.values, try file.floats("ycc_tensor"), tolerance, "luma and chroma")
        XCTAssertEqual(Packing.picture(try file.tensor("planes", width: 32)), try file.picture("planes_argb"))
        let rgb = Packing.rgbFromYcc(try file.tensor("ycc", width: 32))
        assertClose(rgb.values, try file.floats("ycc_rgb"), tolerance, "RGB")
        XCTAssertEqual(Packing.picture(rgb), try file.picture("ycc_argb"))
    }

    func testShrinking() throws {
        let file = try Vectors("shrinking")
        for vector in try file.cases() {
            let (from, to) = (try vector.size("from"), try vector.size("to"))
            let got = Resizing.resize(try vector.picture("argb", from), to: to)
            let expected = try vector.picture("small", to)
            XCTAssertEqual(got.size, expected.size)
            let worst = zip(got.bytes, expected.bytes).map { abs(Int($0) - Int($1)) }.max() ?? 0
            XCTAssertLessThanOrEqual(worst, try file.int("tolerance_levels"), "\(from) to \(to)")
        }
    }

    func testStatistics() throws {
        let file = try Vectors("statistics")
        let tolerance = try file.double("tolerance")
        for vector in try file.cases() {
            let got = Statistics(try vector.doubles("samples_ms"))
            XCTAssertEqual(got.medianMs, try vector.double("median_ms"), accuracy: tolerance)
            XCTAssertEqual(got.p90Ms, try vector.double("p90_ms"), accuracy: tolerance)
            XCTAssertEqual(got.minMs, try vector.double("min_ms"), accuracy: tolerance)
            XCTAssertEqual(got.trimmedMeanMs, try vector.double("trimmed_mean_ms"), accuracy: tolerance)
        }
    }

    func testPsnr() throws {
        let file = try Vectors("psnr")
        let size = Size(height: 3, width: 4)
        for vector in try file.cases() {
            let got = Statistics.psnr(try file.picture("argb", size), try vector.picture("argb", size))
            XCTAssertEqual(got, try vector.double("db"), accuracy: try file.double("tolerance"))
        }
    }

    /// Foundation reads our JSON. What any reader must refuse it refuses, but for a comma before a closing bracket.
    func testJson() throws {
        let file = try Vectors("json")
        for vector in try file.cases("read") {
            let text = try vector.text("text")
            let got = try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
            XCTAssertEqual(try canonical(got), try canonical(XCTUnwrap(vector.table["value"])), text)
        }
        for text in try file.texts("refused") where !text.contains(",]") && !text.contains(",}") {
            XCTAssertThrowsError(
                try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed), text)
        }
    }

    func testManifests() throws {
        let file = try Vectors("manifest")
        for vector in try file.cases("readable") {
            let name = try vector.text("name")
            let manifest = try Manifest.read(Data(try vector.text("text").utf8), name: "m.json")
            let reads = Vectors(table: try XCTUnwrap(vector.table["reads"] as? [String: Any]))
            let texts = [
                "artifact": manifest.artifact, "target": manifest.target, "backend": manifest.backend,
                "preset": manifest.preset, "precision": manifest.precision, "model": manifest.model,
                "sha256": manifest.sha256, "golden": manifest.golden, "verdict": manifest.verdict,
            ]
            for (key, value) in texts { XCTAssertEqual(value, reads.table[key] as? String, "\(name): \(key)") }
            XCTAssertEqual(manifest.halo, reads.table["halo"] as? Int, name)
            XCTAssertEqual(manifest.minPsnrDb, try reads.double("min_psnr_db"), name)
            XCTAssertEqual(manifest.parityDb, reads.table["parity_db"] as? Double, name)
            XCTAssertEqual(manifest.continuous, reads.table["continuous"] as? Bool, name)
            let methods = try reads.cases("methods")
            XCTAssertEqual(manifest.methods.map(\.name), try methods.map { try $0.text("name") }, name)
            XCTAssertEqual(manifest.methods.map(\.scale), methods.map { $0.table["scale"] as? Double }, name)
            for (method, expected) in zip(manifest.methods, methods) {
                XCTAssertEqual(facts(method.inputs), try facts(expected, "inputs"), name)
                XCTAssertEqual(facts(method.outputs), try facts(expected, "outputs"), name)
            }
        }
        for vector in try file.cases("refused") {
            let name = try vector.text("name")
            XCTAssertThrowsError(try Manifest.read(Data(try vector.text("text").utf8), name: "m.json"), name) { error in
                let message = (error as? ArtifactError)?.message ?? ""
                XCTAssertTrue(message.hasPrefix("m.json: "), "\(name): \(message)")
                XCTAssertTrue(message.contains((try? vector.text("mentions")) ?? "?"), "\(name): \(message)")
            }
        }
    }

    private func facts(_ ports: [Manifest.Port]) -> [String] { ports.map { "\($0.name) \($0.shape) \($0.dtype)" } }

    private func facts(_ method: Vectors, _ key: String) throws -> [String] {
        try method.cases(key).map { "\(try $0.text("name")) \(try $0.ints("shape")) \(try $0.text("dtype"))" }
    }

    func testSustained() throws {
        let file = try Vectors("sustained")
        for vector in try file.cases() {
            var sorted = MinuteByMinute()
            for (ended, ms) in zip(try vector.doubles("ended_ms"), try vector.doubles("samples_ms")) {
                sorted.add(endedMs: ended, ms: ms) { "none" }
            }
            let expected = try vector.cases("minutes").map { try minute($0, thermal: "none") }
            XCTAssertEqual(sorted.minutes { "none" }, expected)
        }
    }

    private func minute(_ table: Vectors, thermal: String) throws -> Sustained.Minute {
        let times = ["p50_ms", "p90_ms", "p99_ms", "max_ms"].map { table.table[$0] as? Double }
        return .init(
            runs: try table.int("runs"), p50Ms: times[0], p90Ms: times[1], p99Ms: times[2], maxMs: times[3],
            thermal: thermal)
    }

    private func conditions(_ measured: Vectors) throws -> Conditions {
        let memory = (measured.table["memory"] as? [String: Any]).map(Vectors.init(table:))
        let sustained = (measured.table["sustained"] as? [String: Any]).map(Vectors.init(table:))
        let names = Dictionary(uniqueKeysWithValues: ComputePlan.Share.keys.map { ($0.value, $0.key) })
        let shares = try measured.has("placement") ? measured.cases("placement") : nil
        return Conditions(
            buildType: try measured.text("build_type"), lowPowerMode: measured.table["low_power_mode"] as? Bool,
            memory: try memory.map { Memory(beforeMb: try $0.double("before_mb"), peakMb: try $0.double("peak_mb")) },
            compileMs: measured.table["compile_ms"] as? Double,
            cachedLoadMs: measured.table["cached_load_ms"] as? Double,
            plan: try shares.map { shares in
                ComputePlan(
                    shares: try shares.map {
                        .init(
                            device: try XCTUnwrap(names[$0.text("device")]), count: try $0.int("operations"),
                            cost: try $0.double("cost_share"),
                            types: try XCTUnwrap($0.table["types"] as? [String: Int]))
                    })
            },
            sustained: try sustained.map { run in
                Sustained(
                    seconds: try run.double("seconds"),
                    minutes: try run.cases("minutes").map { try minute($0, thermal: $0.text("thermal")) })
            })
    }

    func testLatency() throws {
        for vector in try Vectors("latency").cases() {
            let measured = Vectors(table: try XCTUnwrap(vector.table["measured"] as? [String: Any]))
            let app = Vectors(table: try XCTUnwrap(measured.table["app"] as? [String: Any]))
            let model = Vectors(table: try XCTUnwrap(measured.table["model"] as? [String: Any]))
            let report = LatencyReport(
                created: try measured.text("created"),
                app: .init(
                    name: try app.text("name"), version: try app.text("version"), platform: try app.text("platform")),
                device: Device(
                    model: try measured.text("device"), system: try measured.text("os"),
                    emulated: try XCTUnwrap(measured.table["emulated"] as? Bool)),
                soc: measured.table["soc"] as? String,
                model: .init(
                    name: try model.text("name"), file: try model.text("file"), sha256: try model.text("sha256"),
                    lr: try model.ints("lr"), hr: try model.ints("hr")),
                runtime: try measured.text("runtime"), runtimeVersion: measured.table["runtime_version"] as? String,
                backends: try measured.texts("backends"), computeUnits: measured.table["compute_units"] as? String,
                threads: measured.table["threads"] as? Int, thermalBefore: try measured.text("thermal_before"),
                thermalAfter: try measured.text("thermal_after"), warmup: try measured.int("warmup"),
                loadMs: try measured.double("load_ms"),
                timings: Timings(
                    firstMs: try measured.double("first_ms"), samples: try measured.doubles("samples_ms"),
                    pipelineMs: try measured.double("pipeline_ms")),
                conditions: try conditions(measured))
            let got = try JSONSerialization.jsonObject(with: report.json())
            XCTAssertEqual(try canonical(got), try canonical(XCTUnwrap(vector.table["document"])))
        }
    }
}
