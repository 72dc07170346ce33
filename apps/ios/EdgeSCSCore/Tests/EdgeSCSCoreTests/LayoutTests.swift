import XCTest

@testable import EdgeSCSCore

/// Pixel buffers and arrays as the system lays them out: rows and axes may be padded.
final class LayoutTests: XCTestCase {
    func testRowsOfAnyOrderAndPadding() {
        let size = Size(height: 2, width: 2)
        let expected: [UInt8] = [1, 2, 3, 255, 4, 5, 6, 255, 7, 8, 9, 255, 10, 11, 12, 255]
        let orders: [(ByteOrder, (Int) -> [UInt8])] = [
            (.rgb, { [UInt8($0 + 1), UInt8($0 + 2), UInt8($0 + 3)] }),
            (.rgba, { [UInt8($0 + 1), UInt8($0 + 2), UInt8($0 + 3), 99] }),
            (.bgra, { [UInt8($0 + 3), UInt8($0 + 2), UInt8($0 + 1), 99] }),
            (.argb, { [99, UInt8($0 + 1), UInt8($0 + 2), UInt8($0 + 3)] }),
        ]
        for (order, pixel) in orders {
            let row = { (first: Int) in pixel(first) + pixel(first + 3) + [77, 77, 77] }
            let rows = row(0) + row(6)
            let picture = rows.withUnsafeBytes {
                Picture(size: size, rows: $0, bytesPerRow: rows.count / 2, order: order)
            }
            XCTAssertEqual(picture.bytes, expected)
        }
    }

    func testTensorsBecomeRowsAndComeBack() {
        let grey = Tensor(shape: [1, 1, 2, 3], values: [0, 51, 102, 153, 204, 255].map { Float($0) / 255 })
        var rows = [UInt8](repeating: 7, count: 10)
        rows.withUnsafeMutableBytes { Packing.write(grey, to: $0, bytesPerRow: 5) }
        XCTAssertEqual(rows, [0, 51, 102, 7, 7, 153, 204, 255, 7, 7])

        let picture = Timings.pattern(Size(height: 3, width: 5))
        var buffer = [UInt8](repeating: 7, count: 3 * 24)
        buffer.withUnsafeMutableBytes { Packing.write(Packing.rgbTensor(picture), to: $0, bytesPerRow: 24) }
        let back = buffer.withUnsafeBytes { Picture(size: picture.size, rows: $0, bytesPerRow: 24, order: .bgra) }
        XCTAssertEqual(back, picture)
    }

    func testPaddedArraysAreGatheredAndScattered() {
        let shape = [1, 3, 2, 2]
        let strides = [48, 16, 8, 1]  // rows of 8 elements, two of them used
        let tensor = Tensor(shape: shape, values: (0..<12).map(Float.init))
        var memory = [Float](repeating: -1, count: 48)
        Packing.scatter(tensor, strides: strides) { memory[$0] = $1 }
        XCTAssertEqual(memory[0...9].filter { $0 >= 0 }, [0, 1, 2, 3])
        XCTAssertEqual(memory.filter { $0 >= 0 }.count, 12)
        XCTAssertEqual(Packing.gather(shape: shape, strides: strides) { memory[$0] }, tensor)
    }

    func testWhatIsNoNumberHasALevel() {
        XCTAssertEqual([Float.nan, .infinity, -.infinity, -0.2, 2].map(Packing.level), [0, 255, 0, 0, 255])
    }

    func testFittingKeepsTheAspect() {
        let picture = Timings.pattern(Size(height: 30, width: 90))
        XCTAssertEqual(Resizing.fit(picture, side: 45).size, Size(height: 15, width: 45))
        XCTAssertEqual(Resizing.fit(picture, side: 90), picture)
        XCTAssertEqual(Resizing.fit(picture, side: 1).size, Size(height: 1, width: 1))
    }
}
