/// An artifact of one size applied to a picture of any size (edge_scs/inference/fixed_program.py): tiles that overlap,
/// blended linearly. A picture of exactly the artifact's size is one tile; a smaller one is continued by its border
/// pixels.
public struct Enlarger {
    public typealias Progress = (_ done: Int, _ all: Int) throws -> Void

    private let engine: Engine
    private let choice: Choice
    private let halo: Int?
    private let name: String

    /// `halo` is the manifest's; nil refuses pictures that are larger than a tile. `name` is what messages call it.
    public init(engine: Engine, choice: Choice, halo: Int?, name: String) {
        self.engine = engine
        self.choice = choice
        self.halo = halo
        self.name = name
    }

    /// The size of the answer: the artifact's own magnification, rounded, halves to even.
    public func size(of picture: Size) -> Size {
        let rows = Double(picture.height * choice.hr.height) / Double(choice.lr.height)
        let columns = Double(picture.width * choice.hr.width) / Double(choice.lr.width)
        return Size(height: Int(rows.rounded(.toNearestOrEven)), width: Int(columns.rounded(.toNearestOrEven)))
    }

    /// The enlarged picture; with `keepColours` only its luma is the network's. `progress` may throw to cancel.
    ///
    /// Throws `ArtifactError` for a picture that needs tiles where none fit, a missing reference or an unwanted one.
    public func enlarge(
        _ picture: Picture, reference: Picture? = nil, keepColours: Bool = false, progress: Progress = { _, _ in }
    ) throws -> Picture {
        let guide = try guide(reference)
        let rows = try axis(picture.size.height, choice.lr.height, choice.hr.height)
        let columns = try axis(picture.size.width, choice.lr.width, choice.hr.width)
        let size = size(of: picture.size)
        var strip = Strip(
            height: choice.hr.height, width: columns.hrStarts[columns.hrStarts.count - 1] + choice.hr.width)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 * size.area)
        let tiles = rows.starts.count * columns.starts.count
        for (i, top) in rows.starts.enumerated() {
            for (j, left) in columns.starts.enumerated() {
                let part = picture.part(top: top, left: left, size: choice.lr)
                let rgb = try engine.run([tensor(part)] + guide).tensor
                try check(rgb)
                strip.add(rgb, left: columns.hrStarts[j], rows: rows.weights[i], columns: columns.weights[j])
                try progress(i * columns.starts.count + j + 1, tiles)
            }
            let finished = i + 1 < rows.starts.count ? rows.hrStarts[i + 1] - rows.hrStarts[i] : choice.hr.height
            strip.take(min(finished, size.height - rows.hrStarts[i]), width: size.width, into: &bytes)
            strip.advance(finished)
        }
        let large = Picture(size: size, bytes: bytes)
        return keepColours ? large.withChroma(of: Resizing.resize(picture, to: size)) : large
    }

    /// What the network sees of a picture of its size.
    public func tensor(_ part: Picture) -> Tensor {
        choice.channels == 1 ? Packing.greyTensor(part) : Packing.rgbTensor(part.withoutColour)
    }

    /// The inputs after the first: the reference at the size that the network takes, where it takes one; then planes of
    /// zeros, which say that there are no colour hints, where it has a port for them.
    public func guide(_ reference: Picture?) throws -> [Tensor] {
        let none = choice.hints.map { size in
            Tensor(shape: [1, 3, size.height, size.width], values: Array(repeating: 0, count: 3 * size.area))
        }
        switch (choice.reference, reference) {
        case (nil, nil): return [none].compactMap { $0 }
        case (nil, _): throw ArtifactError("\(name): was exported without a reference input; take the reference away")
        case (_, nil): throw ArtifactError("\(name): was exported with a reference input; choose a reference picture")
        case (let size?, let reference?):
            return [Packing.rgbTensor(Resizing.resize(reference, to: size)), none].compactMap { $0 }
        }
    }

    private func check(_ rgb: Tensor) throws {
        let expected = [1, 3, choice.hr.height, choice.hr.width]
        if rgb.shape != expected {
            throw ArtifactError("\(name): gave a tensor \(rgb.shape), its manifest says \(expected); export it again")
        }
    }

    private func axis(_ lr: Int, _ tile: Int, _ hrTile: Int) throws -> Axis {
        if lr > tile && halo == nil {
            throw ArtifactError("\(name): its manifest tells no halo, so it takes one tile at most; export it again")
        }
        guard let axis = Tiling.axis(lr: lr, tile: tile, hrTile: hrTile, halo: halo ?? 0) else {
            throw ArtifactError("\(name): only takes pictures up to \(choice.lr) at this scale; export a whole scale")
        }
        return axis
    }
}

extension Picture {
    /// This picture's luma with the colours of another one of its size; row by row, since floats take much room.
    func withChroma(of coloured: Picture) -> Picture {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 * size.area)
        let row = Size(height: 1, width: size.width)
        for y in 0..<size.height {
            let luma = Packing.yccFromRgb(Packing.rgbTensor(part(top: y, left: 0, size: row)))
            let chroma = Packing.yccFromRgb(Packing.rgbTensor(coloured.part(top: y, left: 0, size: row)))
            let values = Array(luma.values.prefix(row.width) + chroma.values.dropFirst(row.width))
            bytes += Packing.picture(Packing.rgbFromYcc(Tensor(shape: [1, 3, 1, row.width], values: values))).bytes
        }
        return Picture(size: size, bytes: bytes)
    }
}

/// Large rows that are not finished yet: RGB, planar, summed by weight.
private struct Strip {
    let height: Int
    let width: Int
    private var sums: [Float]

    init(height: Int, width: Int) {
        (self.height, self.width) = (height, width)
        sums = Array(repeating: 0, count: 3 * height * width)
    }

    mutating func add(_ tile: Tensor, left: Int, rows: [Float], columns: [Float]) {
        let tileWidth = columns.count
        sums.withUnsafeMutableBufferPointer { sums in
            tile.values.withUnsafeBufferPointer { rgb in
                for line in 0..<3 * height {
                    let (from, to, weight) = (line * tileWidth, line * width + left, rows[line % height])
                    for x in 0..<tileWidth { sums[to + x] += rgb[from + x] * weight * columns[x] }
                }
            }
        }
    }

    /// The first `count` rows, cut to `width` pixels, as the bytes of a picture.
    func take(_ count: Int, width cut: Int, into bytes: inout [UInt8]) {
        let plane = height * width
        for y in 0..<max(0, count) {
            for x in 0..<cut {
                let i = y * width + x
                for channel in 0..<3 { bytes.append(Packing.level(sums[channel * plane + i])) }
                bytes.append(255)
            }
        }
    }

    /// Move the rows below the first `count` to the top; empty rows follow.
    mutating func advance(_ count: Int) {
        for channel in 0..<3 {
            let plane = channel * height * width..<(channel + 1) * height * width
            let kept = sums[plane].dropFirst(count * width)
            sums.replaceSubrange(plane, with: kept + Array(repeating: 0, count: count * width))
        }
    }
}
