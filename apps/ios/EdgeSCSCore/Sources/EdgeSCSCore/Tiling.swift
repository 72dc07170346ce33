/// The tiles of one axis: where they start, in small and in large pixels, and how much each weighs at each of its large
/// pixels. At every large pixel the weights of all tiles add up to one.
public struct Axis: Equatable, Sendable {
    public let starts: [Int]
    public let hrStarts: [Int]
    public let weights: [[Float]]
}

/// A picture of any size cut into tiles of an artifact's one size (edge_scs/inference/tiles.py).
///
/// The network sees one tile at a time, so neighbours overlap and fade into each other. Pixels nearer to a tile's edge
/// than the network looks (`halo`) saw padding there and weigh nothing where another tile covers them.
public enum Tiling {
    /// Small pixels over which neighbouring tiles fade into each other, between the halos.
    public static let fade = 16

    /// `lr` pixels in tiles that turn `tile` pixels into `hrTile`. Nil where tiles that overlap do not fit.
    public static func axis(lr: Int, tile: Int, hrTile: Int, halo: Int) -> Axis? {
        if lr <= tile { return Axis(starts: [0], hrStarts: [0], weights: [Array(repeating: 1, count: hrTile)]) }
        // The magnification is up / step, so only multiples of step fall on whole large pixels.
        let common = greatestCommonDivisor(hrTile, tile)
        let (up, step) = (hrTile / common, tile / common)
        let overlap = min(2 * halo + fade, tile / 2)
        if overlap + step >= tile { return nil }
        let starts = starts(lr: lr, tile: tile, overlap: overlap, step: step)
        let placed = starts.map { $0 * up / step }
        let margin = max(0, min(halo, (overlap - fade) / 2)) * up / step
        return Axis(starts: starts, hrStarts: placed, weights: weights(placed, tile: hrTile, margin: margin))
    }

    /// Multiples of `step` that cover the axis and overlap by at least `overlap`.
    private static func starts(lr: Int, tile: Int, overlap: Int, step: Int) -> [Int] {
        let reach = roundedUp(lr - tile, step) * step
        let count = roundedUp(reach, tile - overlap - step + 1) + 1
        return (0..<count).map { reach * $0 / (count - 1) / step * step }
    }

    private static func weights(_ starts: [Int], tile: Int, margin: Int) -> [[Float]] {
        var raw: [[Double]] = []
        var sums = [Double](repeating: 0, count: (starts.last ?? 0) + tile)
        for (i, start) in starts.enumerated() {
            let (first, last) = (i == 0, i == starts.count - 1)
            // Towards a neighbour the ramp is as long as the overlap within both margins; beyond it the weight stays.
            let before = first ? 1 : starts[i - 1] + tile - start - 2 * margin + 1
            let after = last ? 1 : start + tile - starts[i + 1] - 2 * margin + 1
            let row = (0..<tile).map { x in
                let rise = first ? 1 : clamped(Double(x - margin + 1) / Double(before))
                let fall = last ? 1 : clamped(Double(tile - x - margin) / Double(after))
                return rise * fall
            }
            for x in 0..<tile { sums[start + x] += row[x] }
            raw.append(row)
        }
        return zip(starts, raw).map { start, row in (0..<tile).map { Float(row[$0] / sums[start + $0]) } }
    }

    private static func clamped(_ x: Double) -> Double { min(max(x, 0), 1) }

    private static func roundedUp(_ a: Int, _ b: Int) -> Int { (a + b - 1) / b }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        b == 0 ? a : greatestCommonDivisor(b, a % b)
    }
}
