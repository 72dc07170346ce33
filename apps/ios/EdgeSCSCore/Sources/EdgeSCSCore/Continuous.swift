import Foundation

/// What a manifest's `continuous` says.
public struct ContinuousFacts: Equatable, Sendable {
    public let halo: Int
    public let tile: Int
    public let chunk: Int
    public let colourSide: Int
    public let gridSides: ClosedRange<Int>
    public let shuffleScales: [Int]
    /// Whether the method `colour` has a port for colour hints; this app gives none, which is zeros.
    public let takesHints: Bool
}

/// A continuous program driven: any size, any magnification (docs/drive-it-yourself.md, which this follows).
/// Colour once for the whole picture, then tile by tile, each of which sees what the whole picture would show it.
public struct Continuous {
    private let engine: Engine
    private let facts: ContinuousFacts
    private let name: String

    /// `name` is what messages call the artifact.
    public init(engine: Engine, facts: ContinuousFacts, name: String) {
        (self.engine, self.facts, self.name) = (engine, facts, name)
    }

    /// The picture `by` times as large, sides rounded, halves to even; with `keepColours` only its luma is the
    /// network's. Throws as below.
    public func enlarge(
        _ picture: Picture, by: Double, keepColours: Bool = false, progress: Enlarger.Progress = { _, _ in }
    ) throws -> Picture {
        let sides = [picture.size.height, picture.size.width].map { Int((Double($0) * by).rounded(.toNearestOrEven)) }
        let large = try enlarge(picture, to: Size(height: sides[0], width: sides[1]), progress: progress)
        return keepColours ? large.withChroma(of: Resizing.resize(picture, to: large.size)) : large
    }

    /// The picture at `size`; only its luma is used. `progress` hears (tiles done, tiles) and may throw to cancel.
    ///
    /// Throws `ArtifactError` for a picture that is too long and thin, and as the engine does.
    public func enlarge(
        _ picture: Picture, to size: Size, progress: Enlarger.Progress = { _, _ in }
    ) throws -> Picture {
        let lr = picture.size
        let gray = Planes(channels: 1, height: lr.height, width: lr.width, values: Packing.greyTensor(picture).values)
        let chroma = try colour(gray, lr)
        let whole = facts.shuffleScales.first { lr.height * $0 == size.height && lr.width * $0 == size.width }
        let (rows, cols) = (tiles(lr.height, size.height), tiles(lr.width, size.width))
        var out = [UInt8](repeating: 255, count: 4 * size.area)
        for (i, row) in rows.enumerated() {
            for (j, col) in cols.enumerated() {
                let uv = Bilinear.apply(
                    rows: Bilinear.weights(row.seen, lr: chroma.height, hr: lr.height), chroma,
                    cols: Bilinear.weights(col.seen, lr: chroma.width, hr: lr.width))
                let part = gray.cut(rows: row.seen, cols: col.seen)
                let encoded = try runAll("encode", [part.tensor, uv.tensor], outputs: 3)
                if let whole {
                    let rgb = try run("x\(whole)", [encoded[0], encoded[1]])
                    let kept = rgb.cut(rows: row.inside(whole), cols: col.inside(whole))
                    try write(kept, top: row.pixels.lowerBound, left: col.pixels.lowerBound, size, &out)
                } else {
                    let fine = try run("finest", [encoded[0], encoded[1]])
                    try decode(try planes(encoded[2], "encode"), fine, row, col, size, &out)
                }
                try progress(i * cols.count + j + 1, rows.count * cols.count)
            }
        }
        return Picture(size: size, bytes: out)
    }

    /// The picture on the colour grid, and its coarse chroma.
    private func colour(_ gray: Planes, _ lr: Size) throws -> Planes {
        let side = (Double(lr.height) * Double(lr.width)).squareRoot() / Double(facts.colourSide)
        let sides = [lr.height, lr.width].map { Int((Double($0) / side).rounded(.toNearestOrEven)) }
        guard sides.allSatisfy(facts.gridSides.contains) else {
            throw ArtifactError("\(name): this picture of \(lr) is too long and thin; cut it in two")
        }
        let cell = max(1, Int(side))
        let small = cell == 1 ? gray : gray.averaged(cell)
        let grid = Bilinear.apply(
            rows: Bilinear.weights(0..<sides[0], lr: small.height, hr: sides[0]), small,
            cols: Bilinear.weights(0..<sides[1], lr: small.width, hr: sides[1]))
        let climbs = sides.flatMap { n in
            [8, 4].map { Bilinear.weights(0..<up(n, $0), lr: up(n, 2 * $0), hr: up(n, $0)).tensor }
        }
        let coarse = sides.map { up($0, 4) }
        let none = Tensor(
            shape: [1, 3] + coarse, values: Array(repeating: 0, count: 3 * coarse[0] * coarse[1]))
        return try run("colour", [grid.tensor] + climbs + (facts.takesHints ? [none] : []))
    }

    /// Along one axis: the HR pixels of a tile, the LR pixels that it is made of, and the sides of the whole axis.
    private struct Span {
        let pixels: Range<Int>
        let seen: Range<Int>
        let lr: Int
        let hr: Int

        /// The tile's own pixels in what the program makes of all that it saw.
        func inside(_ scale: Int) -> Range<Int> {
            pixels.lowerBound - seen.lowerBound * scale..<pixels.upperBound - seen.lowerBound * scale
        }
    }

    private func tiles(_ lr: Int, _ hr: Int) -> [Span] {
        let count = lr <= facts.tile ? 1 : up(lr, facts.tile - 2 * (facts.halo + 1))
        let edges = (0...count).map { i in
            let edge = (Double(lr) * Double(i) / Double(count)).rounded(.toNearestOrEven)
            return Int((edge * Double(hr) / Double(lr)).rounded(.toNearestOrEven))
        }
        return zip(edges, edges.dropFirst()).map { start, stop in
            let seen = Bilinear.seen(start..<stop, lr: lr, hr: hr, halo: facts.halo)
            return Span(pixels: start..<stop, seen: seen, lr: lr, hr: hr)
        }
    }

    private func decode(
        _ grid: Planes, _ fine: Planes, _ row: Span, _ col: Span, _ size: Size, _ out: inout [UInt8]
    ) throws {
        for down in chunks(row) {
            for across in chunks(col) {
                var inputs: [Tensor] = []
                for (source, v, h) in [(grid, down.grid, across.grid), (fine, down.fine, across.fine)] {
                    inputs += [source.cut(rows: v.seen, cols: h.seen).tensor, v.weights.tensor, h.weights.tensor]
                }
                inputs.append(Tensor(shape: [1, 2, 1, down.pixels.count], values: down.positions))
                inputs.append(Tensor(shape: [1, 2, across.pixels.count, 1], values: across.positions))
                let rgb = try run("decode", inputs)
                try write(rgb, top: down.pixels.lowerBound, left: across.pixels.lowerBound, size, &out)
            }
        }
    }

    /// Along one axis: where decode looks in grid and in fine, from the tile's first pixel on, and its positions.
    private struct Chunk {
        let pixels: Range<Int>
        let grid: (seen: Range<Int>, weights: Matrix)
        let fine: (seen: Range<Int>, weights: Matrix)
        let positions: [Float]

        init(_ pixels: Range<Int>, of tile: Span) {
            let view = { (k: Int) in
                let seen = Bilinear.seen(pixels, lr: tile.lr * k, hr: tile.hr)
                let (low, first) = (seen.lowerBound, tile.seen.lowerBound * k)
                let weights = Bilinear.weights(pixels, lr: tile.lr * k, hr: tile.hr, low: low, high: seen.upperBound)
                return (seen: low - first..<seen.upperBound - first, weights: weights)
            }
            self.pixels = pixels
            (grid, fine) = (view(1), view(4))
            positions = Bilinear.positions(pixels, lr: tile.lr, hr: tile.hr)
        }
    }

    private func chunks(_ tile: Span) -> [Chunk] {
        stride(from: tile.pixels.lowerBound, to: tile.pixels.upperBound, by: facts.chunk).map { start in
            Chunk(start..<min(start + facts.chunk, tile.pixels.upperBound), of: tile)
        }
    }

    private func write(_ rgb: Planes, top: Int, left: Int, _ size: Size, _ out: inout [UInt8]) throws {
        let plane = rgb.height * rgb.width
        guard rgb.channels == 3, top + rgb.height <= size.height, left + rgb.width <= size.width else {
            throw ArtifactError("\(name): gave a tensor \(rgb.tensor.shape) that does not fit; export it again")
        }
        out.withUnsafeMutableBufferPointer { out in
            rgb.values.withUnsafeBufferPointer { values in
                for y in 0..<rgb.height {
                    for x in 0..<rgb.width {
                        let (from, to) = (y * rgb.width + x, 4 * ((top + y) * size.width + left + x))
                        for channel in 0..<3 { out[to + channel] = Packing.level(values[channel * plane + from]) }
                    }
                }
            }
        }
    }

    private func run(_ method: String, _ inputs: [Tensor]) throws -> Planes {
        try planes(try runAll(method, inputs, outputs: 1)[0], method)
    }

    private func runAll(_ method: String, _ inputs: [Tensor], outputs: Int) throws -> [Tensor] {
        let tensors = try engine.runAll(method, inputs).tensors
        guard tensors.count >= outputs else {
            throw ArtifactError("\(name): \(method) gives \(tensors.count) tensors, not \(outputs); export it again")
        }
        return tensors
    }

    private func planes(_ tensor: Tensor, _ method: String) throws -> Planes {
        guard let planes = Planes(tensor) else {
            throw ArtifactError("\(name): \(method) gives a tensor \(tensor.shape), not a picture; export it again")
        }
        return planes
    }

    private func up(_ n: Int, _ by: Int) -> Int { (n + by - 1) / by }
}
