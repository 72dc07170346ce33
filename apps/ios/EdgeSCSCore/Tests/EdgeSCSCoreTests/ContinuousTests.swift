import XCTest

@testable import EdgeSCSCore

/// A continuous program whose answer is known: bilinear enlargement of the grey picture, and where decode looks.
private final class BilinearProgram: Engine {
    let backends = ["Rule"]
    private(set) var calls: [String: Int] = [:]
    private(set) var colourInputs: [[Int]] = []

    func run(_ inputs: [Tensor]) throws -> Answer { throw ArtifactError("has no method of one size") }

    func runAll(_ method: String, _ inputs: [Tensor]) throws -> Outputs {
        calls[method, default: 0] += 1
        switch method {
        case "colour":
            colourInputs = inputs.map(\.shape)
            let sides = inputs[0].shape.dropFirst(2).map { ($0 + 3) / 4 }
            let values = [Float](repeating: 0.25, count: 2 * sides[0] * sides[1])
            return outputs([Tensor(shape: [1, 2] + sides, values: values)])
        case "encode":
            XCTAssertEqual(Array(inputs[1].shape[2...]), Array(inputs[0].shape[2...]))
            assertClose(inputs[1].values, inputs[1].values.map { _ in 0.25 }, 1e-6, "chroma")
            return outputs([inputs[0], inputs[0], inputs[0]])
        case "finest": return outputs([repeated(inputs[0], 4)])
        case "x2", "x3":
            let large = repeated(inputs[0], method == "x2" ? 2 : 3)
            let values = large.values + large.values + large.values
            return outputs([Tensor(shape: [1, 3] + large.shape[2...], values: values)])
        default: return outputs([decoded(inputs)])
        }
    }

    /// Red: the grid between its pixels; green: fine between its pixels; blue: the position of the row.
    private func decoded(_ inputs: [Tensor]) -> Tensor {
        let (h, w) = (inputs[1].shape[0], inputs[2].shape[0])
        XCTAssertEqual(inputs.map(\.shape.count), [4, 2, 2, 4, 2, 2, 4, 4])
        let (red, green) = (product(inputs[0], inputs[1], inputs[2]), product(inputs[3], inputs[4], inputs[5]))
        let blue = (0..<h).flatMap { y in Array(repeating: (inputs[6].values[y] + 1) / 2, count: w) }
        return Tensor(shape: [1, 3, h, w], values: red + green + blue)
    }

    private func product(_ x: Tensor, _ rows: Tensor, _ cols: Tensor) -> [Float] {
        let (height, width) = (x.shape[2], x.shape[3])
        XCTAssertEqual([rows.shape[1], cols.shape[1]], [height, width])
        var out: [Float] = []
        for i in 0..<rows.shape[0] {
            for j in 0..<cols.shape[0] {
                var sum: Float = 0
                for y in 0..<height {
                    let weight: Float = rows.values[i * height + y]
                    for k in 0..<width where weight != 0 {
                        let across: Float = cols.values[j * width + k]
                        sum += weight * across * x.values[y * width + k]
                    }
                }
                out.append(sum)
            }
        }
        return out
    }

    private func repeated(_ x: Tensor, _ by: Int) -> Tensor {
        let (h, w) = (x.shape[2] * by, x.shape[3] * by)
        var values: [Float] = []
        for row in 0..<h {
            for col in 0..<w { values.append(x.values[row / by * x.shape[3] + col / by]) }
        }
        return Tensor(shape: [1, 1, h, w], values: values)
    }

    private func outputs(_ tensors: [Tensor]) -> Outputs { Outputs(tensors: tensors, inferenceMs: 1) }
}

final class ContinuousTests: XCTestCase {
    private func facts(tile: Int = 24, chunk: Int = 16, hints: Bool = false) -> ContinuousFacts {
        ContinuousFacts(
            halo: 3, tile: tile, chunk: chunk, colourSide: 40, gridSides: 16...90, shuffleScales: [2, 3],
            takesHints: hints)
    }

    private func picture(_ size: Size) -> Picture {
        var levels: [UInt8] = []
        for i in 0..<size.area {
            let level: Int = i * 37 + i / size.width * 11
            levels.append(UInt8(level % 256))
        }
        return .grey(levels, size)
    }

    /// Whatever the tiles and chunks, the answer is that of the whole picture at once.
    func testTilesAndChunksShowWhatTheWholePictureWould() throws {
        let given = picture(Size(height: 30, width: 41))
        for (by, tile, chunk) in [(1.3, 24, 16), (2.7, 16, 7), (1.0, 24, 128)] {
            let program = BilinearProgram()
            let driver = Continuous(engine: program, facts: facts(tile: tile, chunk: chunk), name: "m")
            var heard: [Int] = []
            let got = try driver.enlarge(given, by: by) { done, all in
                heard.append(done)
                XCTAssertGreaterThan(all, 3)
            }
            XCTAssertEqual(got.size, Size(height: Int((30 * by).rounded()), width: Int((41 * by).rounded())))
            XCTAssertEqual(heard, Array(1...heard.count))
            for y in 0..<got.size.height {
                let at = (Double(y) + 0.5) * 30 / Double(got.size.height)
                let rows = between(at, 30)
                let position = (at + 1e-9).truncatingRemainder(dividingBy: 1)
                for x in 0..<got.size.width {
                    let cols = between((Double(x) + 0.5) * 41 / Double(got.size.width), 41)
                    var expected = 0.0
                    for (row, down) in rows {
                        for (col, across) in cols {
                            let level = Double(given.bytes[4 * (row * 41 + col)])
                            expected += down * across * level
                        }
                    }
                    let place = 4 * (y * got.size.width + x)
                    XCTAssertEqual(Double(got.bytes[place]), expected, accuracy: 0.51, "x\(by): \(y), \(x)")
                    XCTAssertEqual(Double(got.bytes[place + 2]), position * 255, accuracy: 0.51, "x\(by): row \(y)")
                }
            }
        }
    }

    /// The two pixels between which `at` lies, and their weights.
    private func between(_ at: Double, _ count: Int) -> [(Int, Double)] {
        let place = min(max(at - 0.5, 0), Double(count - 1))
        let near = Int(place)
        return [(near, 1 - (place - Double(near))), (min(near + 1, count - 1), place - Double(near))]
    }

    func testWholeMagnificationsComeFromTheirOwnMethod() throws {
        let given = picture(Size(height: 30, width: 41))
        let program = BilinearProgram()
        let got = try Continuous(engine: program, facts: facts(tile: 16), name: "m").enlarge(given, by: 3)
        XCTAssertNil(program.calls["decode"])
        XCTAssertEqual(program.calls["x3"], program.calls["encode"])
        for y in 0..<90 {
            for x in 0..<123 {
                XCTAssertEqual(got.bytes[4 * (y * 123 + x)], given.bytes[4 * (y / 3 * 41 + x / 3)], "\(y), \(x)")
            }
        }
    }

    func testAPortForHintsIsLeftEmpty() throws {
        let given = picture(Size(height: 30, width: 30))
        for hints in [false, true] {
            let program = BilinearProgram()
            let driver = Continuous(engine: program, facts: facts(hints: hints), name: "m")
            _ = try driver.enlarge(given, by: 2)
            let climbs = [[5, 3], [10, 5], [5, 3], [10, 5]]
            XCTAssertEqual(program.colourInputs, [[1, 1, 40, 40]] + climbs + (hints ? [[1, 3, 10, 10]] : []))
            XCTAssertEqual(program.calls["colour"], 1)
        }
    }

    func testLargePicturesBecomeAGridOfMeans() throws {
        let planes = Planes(channels: 1, height: 3, width: 5, values: (0..<15).map(Float.init))
        let means = planes.averaged(2)
        XCTAssertEqual([means.height, means.width], [2, 3])
        assertClose(means.values, [3, 5, 6.5, 10.5, 12.5, 14], 1e-6, "means")
        let program = BilinearProgram()
        let driver = Continuous(engine: program, facts: facts(tile: 200, chunk: 200), name: "m")
        _ = try driver.enlarge(picture(Size(height: 100, width: 90)), by: 2)
        XCTAssertEqual(program.colourInputs[0], [1, 1, 42, 38])
    }

    func testOwnColoursAreKept() throws {
        let bytes = (0..<900).flatMap { _ -> [UInt8] in [200, 40, 40, 255] }
        let red = Picture(size: Size(height: 30, width: 30), bytes: bytes)
        let driver = Continuous(engine: BilinearProgram(), facts: facts(), name: "m")
        let grey = try driver.enlarge(red, by: 2)
        let kept = try driver.enlarge(red, by: 2, keepColours: true)
        XCTAssertEqual(grey.bytes[0], grey.bytes[1])
        XCTAssertGreaterThan(kept.bytes[0], kept.bytes[1] + 100)
    }

    func testWhatCannotBeDoneIsSaid() throws {
        let driver = Continuous(engine: BilinearProgram(), facts: facts(), name: "m.pte")
        assertRefused("m.pte: this picture of 200x20 is too long and thin") {
            _ = try driver.enlarge(picture(Size(height: 20, width: 200)), by: 2)
        }
        let fixed = Continuous(engine: tinting(to: Size(height: 60, width: 60)), facts: facts(), name: "m.pte")
        assertRefused("runs no methods by name") { _ = try fixed.enlarge(picture(Size(height: 30, width: 30)), by: 2) }
        struct Stopped: Error {}
        XCTAssertThrowsError(
            try driver.enlarge(picture(Size(height: 30, width: 30)), by: 2) { _, _ in throw Stopped() })
    }
}
