import Foundation

/// A matrix, row after row.
struct Matrix {
    let rows: Int
    let cols: Int
    fileprivate(set) var values: [Float]

    init(rows: Int, cols: Int) {
        (self.rows, self.cols) = (rows, cols)
        values = Array(repeating: 0, count: rows * cols)
    }

    var tensor: Tensor { Tensor(shape: [rows, cols], values: values) }
}

/// Where HR pixels look along one axis; pixel centres are at half-integers.
enum Bilinear {
    /// Weights of the LR pixels `low` until `high` (the axis' end) for the HR pixels, of an axis of `lr` and `hr`.
    static func weights(_ pixels: Range<Int>, lr: Int, hr: Int, low: Int = 0, high: Int? = nil) -> Matrix {
        var found = Matrix(rows: pixels.count, cols: (high ?? lr) - low)
        for i in pixels {
            let at = min(max((Double(i) + 0.5) * Double(lr) / Double(hr) - 0.5, 0), Double(lr - 1))
            let near = Int(at.rounded(.down))
            let row = (i - pixels.lowerBound) * found.cols
            found.values[row + near - low] = Float(1 - (at - Double(near)))
            found.values[row + min(near + 1, lr - 1) - low] += Float(at - Double(near))
        }
        return found
    }

    /// The LR pixels between which the HR pixels lie, and `halo` more; at least two, for decode.
    static func seen(_ pixels: Range<Int>, lr: Int, hr: Int, halo: Int = 0) -> Range<Int> {
        let ends = [Double(pixels.lowerBound) + 0.5, Double(pixels.upperBound) - 0.5].map { centre in
            Int((centre * Double(lr) / Double(hr) - 0.5).rounded(.down))
        }
        let low = max(0, min(ends[0] - halo, lr - 2))
        return low..<max(low + 2, min(lr, ends[1] + 2 + halo))
    }

    /// The place inside the LR pixel, in [-1, 1), for every HR pixel; then lr / hr as often.
    static func positions(_ pixels: Range<Int>, lr: Int, hr: Int) -> [Float] {
        let places = pixels.map { i in
            let at = (Double(i) + 0.5) * Double(lr) / Double(hr) + 1e-9
            return Float(at.truncatingRemainder(dividingBy: 1) * 2 - 1)
        }
        return places + Array(repeating: Float(Double(lr) / Double(hr)), count: pixels.count)
    }

    /// rows x, x columns transposed: every plane resized.
    static func apply(rows: Matrix, _ x: Planes, cols: Matrix) -> Planes {
        var values: [Float] = []
        values.reserveCapacity(x.channels * rows.rows * cols.rows)
        for channel in 0..<x.channels {
            let plane = Array(x.values[channel * x.height * x.width..<(channel + 1) * x.height * x.width])
            let half = product(rows, plane, width: x.width)
            // The same once more with the axes exchanged, and back.
            let turned = transposed(half, width: x.width)
            values += transposed(product(cols, turned, width: rows.rows), width: rows.rows)
        }
        return Planes(channels: x.channels, height: rows.rows, width: cols.rows, values: values)
    }

    /// matrix x, where x has rows of `width` values; most weights are zero.
    private static func product(_ matrix: Matrix, _ x: [Float], width: Int) -> [Float] {
        var out = [Float](repeating: 0, count: matrix.rows * width)
        out.withUnsafeMutableBufferPointer { out in
            x.withUnsafeBufferPointer { x in
                for (place, weight) in matrix.values.enumerated() where weight != 0 {
                    let (to, from) = (place / matrix.cols * width, place % matrix.cols * width)
                    for j in 0..<width { out[to + j] += weight * x[from + j] }
                }
            }
        }
        return out
    }

    private static func transposed(_ x: [Float], width: Int) -> [Float] {
        let height = x.count / width
        return (0..<x.count).map { x[$0 % height * width + $0 / height] }
    }
}

/// A tensor (1, `channels`, `height`, `width`).
struct Planes {
    let channels: Int
    let height: Int
    let width: Int
    let values: [Float]

    init(channels: Int, height: Int, width: Int, values: [Float]) {
        (self.channels, self.height, self.width, self.values) = (channels, height, width, values)
    }

    /// Nil for a tensor of another rank.
    init?(_ tensor: Tensor) {
        guard tensor.shape.count == 4, tensor.shape[0] == 1 else { return nil }
        self.init(channels: tensor.shape[1], height: tensor.shape[2], width: tensor.shape[3], values: tensor.values)
    }

    var tensor: Tensor { Tensor(shape: [1, channels, height, width], values: values) }

    /// These rows and columns; zero beyond the lower and the right border.
    func cut(rows: Range<Int>, cols: Range<Int>) -> Planes {
        var out = [Float](repeating: 0, count: channels * rows.count * cols.count)
        let inside = cols.clamped(to: 0..<width)
        for channel in 0..<channels {
            for y in rows.clamped(to: 0..<height) {
                let from = (channel * height + y) * width
                let to = (channel * rows.count + y - rows.lowerBound) * cols.count
                out.replaceSubrange(
                    to..<to + inside.count, with: values[from + inside.lowerBound..<from + inside.upperBound])
            }
        }
        return Planes(channels: channels, height: rows.count, width: cols.count, values: out)
    }

    /// Means over cells of `cell` x `cell` pixels, those at the border cut.
    func averaged(_ cell: Int) -> Planes {
        let (h, w) = ((height + cell - 1) / cell, (width + cell - 1) / cell)
        var out = [Float](repeating: 0, count: channels * h * w)
        for channel in 0..<channels {
            for y in 0..<height {
                let rows = min(cell, height - y / cell * cell)
                for x in 0..<width {
                    let count = rows * min(cell, width - x / cell * cell)
                    out[(channel * h + y / cell) * w + x / cell] +=
                        values[(channel * height + y) * width + x] / Float(count)
                }
            }
        }
        return Planes(channels: channels, height: h, width: w, values: out)
    }
}
