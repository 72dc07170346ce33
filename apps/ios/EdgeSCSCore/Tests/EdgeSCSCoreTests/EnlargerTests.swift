import XCTest

@testable import EdgeSCSCore

final class EnlargerTests: XCTestCase {
    private let tile = Size(height: 40, width: 48)
    private let large = Size(height: 80, width: 96)

    private func picture(_ size: Size, seed: Int = 1) -> Picture {
        var state = UInt64(seed)
        let bytes = (0..<4 * size.area).map { i -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return i % 4 == 3 ? 255 : UInt8(state >> 56)
        }
        return Picture(size: size, bytes: bytes)
    }

    /// An engine that repeats every pixel twice both ways, whatever the tile.
    private func doubling() -> RuleEngine {
        RuleEngine { (_: Int, inputs: [Tensor]) -> Tensor in
            let channels: Int = inputs[0].shape[1]
            let h: Int = inputs[0].shape[2]
            let w: Int = inputs[0].shape[3]
            var values: [Float] = []
            for channel in 0..<3 {
                let plane: Int = min(channel, channels - 1) * h
                for y in 0..<2 * h {
                    let row: Int = (plane + y / 2) * w
                    for x in 0..<2 * w { values.append(inputs[0].values[row + x / 2]) }
                }
            }
            return Tensor(shape: [1, 3, 2 * h, 2 * w], values: values)
        }
    }

    func testTilesOfALocalRuleAreTheWhole() throws {
        for size in [Size(height: 100, width: 131), Size(height: 40, width: 48), Size(height: 7, width: 5)] {
            let engine = doubling()
            let source = picture(size)
            let enlarger = Enlarger(engine: engine, choice: choice(tile, large), halo: 2, name: "m")
            let got = try enlarger.enlarge(source)
            XCTAssertEqual(got.size, Size(height: 2 * size.height, width: 2 * size.width))
            let grey = source.grey
            for y in 0..<got.size.height {
                for x in 0..<got.size.width {
                    let expected = grey[y / 2 * size.width + x / 2]
                    XCTAssertEqual(got.bytes[4 * (y * got.size.width + x)], expected)
                }
            }
            XCTAssertEqual(engine.calls > 1, size.height > tile.height)
        }
    }

    func testProgressCountsTilesAndCancels() throws {
        struct Enough: Error {}
        let enlarger = Enlarger(engine: doubling(), choice: choice(tile, large), halo: 2, name: "m")
        var seen: [Int] = []
        var all = 0
        _ = try enlarger.enlarge(picture(Size(height: 60, width: 60))) { done, count in
            seen.append(done)
            all = count
        }
        XCTAssertEqual(seen, Array(1...all))
        XCTAssertThrowsError(try enlarger.enlarge(picture(tile)) { _, _ in throw Enough() }) { XCTAssert($0 is Enough) }
    }

    func testColoursAreKeptAndLumaIsTheNetworks() throws {
        // Colours near grey: strong ones would leave RGB's range and be clamped.
        let source = picture(tile)
        let bytes = source.bytes.enumerated().map { i, byte -> UInt8 in i % 4 == 3 ? 255 : byte / 4 + 96 }
        let flat = RuleEngine { _, _ in
            Tensor(shape: [1, 3, 80, 96], values: Array(repeating: 0.5, count: 3 * 80 * 96))
        }
        let enlarger = Enlarger(engine: flat, choice: choice(tile, large), halo: 0, name: "m")
        let got = try enlarger.enlarge(Picture(size: tile, bytes: bytes), keepColours: true)
        XCTAssertTrue(got.grey.allSatisfy { abs(Int($0) - 128) <= 1 })
        XCTAssertGreaterThan(Set(stride(from: 0, to: got.bytes.count, by: 4).map { got.bytes[$0] }).count, 20)
    }

    func testAReferenceIsMadeSmallAndHandedOver() throws {
        let led = choice(tile, large, reference: Size(height: 8, width: 8))
        let guide = picture(Size(height: 31, width: 17), seed: 9)
        let engine = RuleEngine { _, inputs in
            XCTAssertEqual(inputs.count, 2)
            XCTAssertEqual(inputs[1], Packing.rgbTensor(Resizing.resize(guide, to: Size(height: 8, width: 8))))
            return Tensor(shape: [1, 3, 80, 96], values: Array(repeating: 0, count: 3 * 80 * 96))
        }
        let enlarger = Enlarger(engine: engine, choice: led, halo: 0, name: "m")
        _ = try enlarger.enlarge(picture(tile), reference: guide)
        XCTAssertEqual(engine.calls, 1)
        assertRefused("choose a reference") { _ = try enlarger.enlarge(picture(tile)) }
        let plain = Enlarger(engine: doubling(), choice: choice(tile, large), halo: 0, name: "m")
        assertRefused("take the reference away") { _ = try plain.enlarge(picture(tile), reference: guide) }
    }

    /// A port for hints is filled with zeros, behind the reference, for every tile.
    func testNoHintsAreZeros() throws {
        let engine = RuleEngine { _, inputs in
            XCTAssertEqual(inputs.map(\.shape), [[1, 1, 40, 48], [1, 3, 8, 8], [1, 3, 10, 12]])
            XCTAssertEqual(inputs[2].values, Array(repeating: 0, count: 360))
            return Tensor(shape: [1, 3, 80, 96], values: Array(repeating: 0, count: 3 * 80 * 96))
        }
        let hinted = choice(tile, large, reference: Size(height: 8, width: 8), hints: Size(height: 10, width: 12))
        let enlarger = Enlarger(engine: engine, choice: hinted, halo: 2, name: "m")
        _ = try enlarger.enlarge(picture(Size(height: 60, width: 48)), reference: picture(Size(height: 9, width: 9)))
        XCTAssertGreaterThan(engine.calls, 1)
        let alone = RuleEngine { _, inputs in
            XCTAssertEqual(inputs.map(\.shape), [[1, 1, 40, 48], [1, 3, 10, 12]])
            return Tensor(shape: [1, 3, 80, 96], values: Array(repeating: 0, count: 3 * 80 * 96))
        }
        _ = try Timings.measure(
            engine: alone, choice: choice(tile, large, hints: Size(height: 10, width: 12)), name: "m",
            plan: TimingPlan(warmup: 1, runs: 1))
        XCTAssertEqual(alone.calls, 2)
    }

    func testARgbNetworkSeesAPictureWithoutColours() throws {
        let engine = RuleEngine { _, inputs in
            let n = inputs[0].values.count / 3
            XCTAssertEqual(inputs[0].shape, [1, 3, 40, 48])
            XCTAssertEqual(inputs[0].values[..<n], inputs[0].values[n..<2 * n])
            return Tensor(shape: [1, 3, 80, 96], values: Array(repeating: 0, count: 3 * 80 * 96))
        }
        _ = try Enlarger(engine: engine, choice: choice(tile, large, channels: 3), halo: 0, name: "m")
            .enlarge(picture(tile))
    }

    func testWhatCannotBeDoneIsSaid() throws {
        let wide = picture(Size(height: 40, width: 49))
        assertRefused("no halo") {
            _ = try Enlarger(engine: doubling(), choice: choice(tile, large), halo: nil, name: "m").enlarge(wide)
        }
        let broken = choice(Size(height: 7, width: 7), Size(height: 9, width: 9))
        assertRefused("pictures up to 7x7") {
            _ = try Enlarger(engine: doubling(), choice: broken, halo: 1, name: "m").enlarge(wide)
        }
        let wrong = choice(tile, Size(height: 40, width: 48))
        assertRefused("its manifest says") {
            _ = try Enlarger(engine: doubling(), choice: wrong, halo: 1, name: "m").enlarge(picture(tile))
        }
    }
}

func assertRefused(_ words: String, file: StaticString = #filePath, line: UInt = #line, _ body: () throws -> Void) {
    XCTAssertThrowsError(try body(), words, file: file, line: line) { error in
        let message = (error as? ArtifactError)?.message ?? "\(error)"
        XCTAssertTrue(message.contains(words), message, file: file, line: line)
    }
}
