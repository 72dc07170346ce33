import Foundation

/// Times and errors in the few numbers that are reported (edge_scs/report/devices.py, edge_scs/artifacts/manifest.py).
public struct Statistics: Equatable, Sendable {
    public let medianMs, p90Ms, minMs, trimmedMeanMs: Double

    /// Of at least one time. p90 is the nearest rank; the trimmed mean leaves out the floor(n / 10) smallest and as
    /// many of the largest.
    public init(_ samples: [Double]) {
        precondition(!samples.isEmpty, "statistics need a sample")
        let sorted = samples.sorted()
        let n = sorted.count
        let kept = sorted[(n / 10)..<(n - n / 10)]
        medianMs = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2
        p90Ms = sorted[(9 * n + 9) / 10 - 1]
        minMs = sorted[0]
        trimmedMeanMs = kept.reduce(0, +) / Double(kept.count)
    }

    /// Of equal pictures, whose PSNR is infinite, which JSON cannot say.
    public static let maxPsnrDb = 200.0

    /// Over RGB, in dB, of two pictures of one size.
    public static func psnr(_ a: Picture, _ b: Picture) -> Double {
        precondition(a.size == b.size, "PSNR compares pictures of one size")
        var squares = 0
        for (x, y) in zip(a.bytes, b.bytes) {  // the fourth byte is 255 in both
            let difference = Int(x) - Int(y)
            squares += difference * difference
        }
        if squares == 0 { return maxPsnrDb }
        return min(maxPsnrDb, -10 * log10(Double(squares) / Double(3 * a.size.area) / (255 * 255)))
    }
}
