/// Resizing as Pillow does it: bicubic, looking at every pixel that an output pixel stands for, 8 bits in between.
///
/// Networks were trained with references made small this way; Apple's own filters average otherwise.
public enum Resizing {
    private static let precision = 22  // bits of the fixed-point weights, as in Pillow

    /// The whole picture at another size.
    public static func resize(_ picture: Picture, to size: Size) -> Picture {
        let from = picture.size
        var bytes = picture.bytes
        if size.width != from.width {
            bytes = pass(bytes, lines: from.height, from: from.width, to: size.width, step: 1, linesLie: .rows)
        }
        if size.height != from.height {
            bytes = pass(
                bytes, lines: size.width, from: from.height, to: size.height, step: size.width, linesLie: .columns)
        }
        return Picture(size: size, bytes: bytes)
    }

    /// The largest version of a picture whose sides are at most `side`; itself where it is small enough.
    public static func fit(_ picture: Picture, side: Int) -> Picture {
        let longest = max(picture.size.height, picture.size.width)
        if longest <= side { return picture }
        let scaled = [picture.size.height, picture.size.width].map { max(1, ($0 * side + longest / 2) / longest) }
        return resize(picture, to: Size(height: scaled[0], width: scaled[1]))
    }

    private enum Direction { case rows, columns }

    /// Resize every line: `step` is the way in pixels from one pixel of a line to the next.
    private static func pass(
        _ bytes: [UInt8], lines: Int, from: Int, to: Int, step: Int, linesLie: Direction
    ) -> [UInt8] {
        let kernels = kernels(from: from, to: to)
        var out = [UInt8](repeating: 255, count: lines * to * 4)
        for line in 0..<lines {
            let (source, target) = linesLie == .rows ? (line * from, line * to) : (line, line)
            for i in 0..<to {
                for channel in 0..<3 {
                    let first = 4 * (source + kernels[i].first * step) + channel
                    let value = sum(bytes, from: first, step: 4 * step, kernels[i].weights)
                    out[4 * (target + i * step) + channel] = value
                }
            }
        }
        return out
    }

    private static func sum(_ bytes: [UInt8], from first: Int, step: Int, _ weights: [Int]) -> UInt8 {
        var total = 1 << (precision - 1)
        var place = first
        for weight in weights {
            total += Int(bytes[place]) * weight
            place += step
        }
        return UInt8(min(max(total >> precision, 0), 255))
    }

    private struct Kernel {
        let first: Int
        let weights: [Int]
    }

    /// For every output pixel: the first input pixel that it sees, and the weights of that and the next ones.
    private static func kernels(from: Int, to: Int) -> [Kernel] {
        let scale = Double(from) / Double(to)
        let stretch = max(scale, 1)
        let support = 2 * stretch
        return (0..<to).map { i in
            let centre = (Double(i) + 0.5) * scale
            let low = max(0, Int(centre - support + 0.5))
            let high = min(from, Int(centre + support + 0.5))
            let raw = (low..<high).map { cubic((Double($0) - centre + 0.5) / stretch) }
            let sum = raw.reduce(0, +)
            let fixed = raw.map { Int(($0 / sum * Double(1 << precision)).rounded(.toNearestOrAwayFromZero)) }
            return Kernel(first: low, weights: fixed)
        }
    }

    /// Keys' cubic with a = -0.5.
    private static func cubic(_ x: Double) -> Double {
        let d = abs(x)
        if d < 1 { return (1.5 * d - 2.5) * d * d + 1 }
        if d < 2 { return ((-0.5 * d + 2.5) * d - 4) * d + 2 }
        return 0
    }
}
