import Foundation

/// The file `<artifact>.json` as far as an app needs it. docs/export.md explains the keys; later versions may add some.
public struct Manifest: Equatable, Sendable {
    /// One input or output: shape (n, c, h, w); type "float32", "float16", or "image" for a pixel buffer.
    public struct Port: Equatable, Sendable {
        public let name: String
        public let shape: [Int]
        public let dtype: String
    }

    /// One entry point: a method of a .pte, a function of a package. `scale` is nil where any will do.
    public struct Method: Decodable, Equatable, Sendable {
        public let name: String
        public let inputs: [Port]
        public let outputs: [Port]
        public let scale: Double?
    }

    public let artifact, target, backend, preset, precision, model, sha256: String
    public let minPsnrDb: Double
    /// The oldest system that runs it, such as "iOS18"; nil where that is not Apple's.
    public let minimumTarget: String?
    /// The folder of golden pairs beside the artifact.
    public let golden: String?
    /// How far the network looks, in small pixels: tiles overlap by it. Nil: not recorded.
    public let halo: Int?
    /// Of a continuous program, which takes any size; nil for methods of one size.
    public let facts: ContinuousFacts?
    public let methods: [Method]
    /// The worst photograph's PSNR when the artifact was exported, nil for NaN or infinity; the verdict then.
    public let parityDb: Double?
    public let verdict: String?

    /// 0 is the clean, 1 the restoring end of the weights.
    public let restoration: Double

    public var continuous: Bool { facts != nil }

    public static let maxBytes = 1 << 20
    /// Of the format; a later one may mean something else by the same keys.
    public static let version = 2

    /// Read a manifest; `name` is what messages call it. Throws `ArtifactError` naming the key that is wrong.
    public static func read(_ data: Data, name: String) throws -> Manifest {
        if data.count > maxBytes { throw ArtifactError("\(name): larger than 1 MB, no manifest of ours; export again") }
        // Foundation's decoder looks only at what it is asked for; the older reader looks at the whole text.
        guard (try? JSONSerialization.jsonObject(with: data)) != nil else {
            throw ArtifactError("\(name): not valid JSON; export the model again")
        }
        do {
            let manifest = try JSONDecoder().decode(Manifest.self, from: data)
            try manifest.check()
            return manifest
        } catch let error as DecodingError {
            throw ArtifactError("\(name): \(words(error)); export the model again")
        } catch let error as ArtifactError {
            throw ArtifactError("\(name): \(error.message); export the model again")
        }
    }

    private func check() throws {
        try choose("target", target, ["executorch", "coreml"])
        try choose("backend", backend, ["xnnpack", "vulkan", "coreml", "mlprogram"])
        if sha256.count != 64 || !sha256.allSatisfy({ "0123456789abcdef".contains($0) }) {
            throw ArtifactError("sha256 is not 64 hexadecimal digits")
        }
        if let halo, halo < 0 { throw ArtifactError("halo is \(halo), must be 0 or more") }
        if methods.isEmpty { throw ArtifactError("methods is empty") }
        for method in methods {
            for (key, ports) in [("inputs", method.inputs), ("outputs", method.outputs)] {
                if ports.isEmpty { throw ArtifactError("\(key) of \(method.name) is empty") }
                for port in ports { try check(port) }
            }
        }
    }

    private func check(_ port: Port) throws {
        try choose("dtype", port.dtype, ["float32", "float16", "image"])
        let rank = port.shape.count
        if !(rank == 4 || (continuous && rank == 2)) || !port.shape.allSatisfy({ (1...65_536).contains($0) }) {
            throw ArtifactError("shape \(port.shape) of \(port.name) is no picture's")
        }
    }

    private func choose(_ key: String, _ value: String, _ known: [String]) throws {
        if !known.contains(value) {
            throw ArtifactError("\(key) is '\(value)', must be \(known.joined(separator: " or "))")
        }
    }

    private static func words(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): return "lacks '\(key.stringValue)'"
        case .typeMismatch(_, let context), .valueNotFound(_, let context): return words(context)
        case .dataCorrupted(let context): return words(context)
        @unknown default: return "not a manifest of ours"
        }
    }

    private static func words(_ context: DecodingError.Context) -> String {
        let key = context.codingPath.last { $0.intValue == nil }
        return key.map { "\($0.stringValue) is not of its type" } ?? "not a manifest of ours"
    }
}

extension Manifest: Decodable {
    private enum Key: String, CodingKey {
        case artifact, target, backend, preset, precision, model, sha256, golden, halo, continuous, methods, parity
        case restoration
        case manifestVersion = "manifest_version"
        case minPsnrDb = "min_psnr_db"
        case minimumTarget = "minimum_target"
        case psnrDb = "psnr_db"
        case verdict
    }

    public init(from decoder: Decoder) throws {
        let table = try decoder.container(keyedBy: Key.self)
        let version = try table.decodeIfPresent(Int.self, forKey: .manifestVersion) ?? 1
        if !(1...Manifest.version).contains(version) {
            throw ArtifactError("manifest_version is \(version), known is \(Manifest.version)")
        }
        artifact = try table.decode(String.self, forKey: .artifact)
        target = try table.decode(String.self, forKey: .target)
        backend = try table.decode(String.self, forKey: .backend)
        preset = try table.decode(String.self, forKey: .preset)
        precision = try table.decode(String.self, forKey: .precision)
        model = try table.decode(String.self, forKey: .model)
        sha256 = try table.decode(String.self, forKey: .sha256)
        minPsnrDb = try table.decode(Double.self, forKey: .minPsnrDb)
        minimumTarget = try table.decodeIfPresent(String.self, forKey: .minimumTarget)
        golden = try table.decodeIfPresent(String.self, forKey: .golden)
        halo = try table.decodeIfPresent(Int.self, forKey: .halo)
        restoration = try table.decodeIfPresent(Double.self, forKey: .restoration) ?? 0
        methods = try table.decode([Method].self, forKey: .methods)
        facts = try table.decodeIfPresent(ContinuousTable.self, forKey: .continuous)?.facts(methods)
        if table.contains(.parity), try !table.decodeNil(forKey: .parity) {
            let parity = try table.nestedContainer(keyedBy: Key.self, forKey: .parity)
            parityDb = try parity.decodeIfPresent(Double.self, forKey: .psnrDb)
            verdict = try parity.decodeIfPresent(String.self, forKey: .verdict)
        } else {
            (parityDb, verdict) = (nil, nil)
        }
    }
}

/// `continuous` of a manifest.
private struct ContinuousTable: Decodable {
    let halo, tile, chunk, colourSide: Int
    let colourGridSides, shuffleScales: [Int]

    private enum CodingKeys: String, CodingKey {
        case halo, tile, chunk
        case colourSide = "colour_side"
        case colourGridSides = "colour_grid_sides"
        case shuffleScales = "shuffle_scales"
    }

    /// Checked, because the driver divides by these numbers.
    func facts(_ methods: [Manifest.Method]) throws -> ContinuousFacts {
        for (key, value) in [("halo", halo + 1), ("chunk", chunk), ("colour_side", colourSide)] where value < 1 {
            throw ArtifactError("\(key) of continuous is too small")
        }
        if tile <= 2 * (halo + 1) { throw ArtifactError("tile of continuous is \(tile), not larger than its halos") }
        guard colourGridSides.count == 2, 1 <= colourGridSides[0], colourGridSides[0] <= colourGridSides[1] else {
            throw ArtifactError("colour_grid_sides is \(colourGridSides), must be the least and the largest side")
        }
        let takesHints = methods.contains { $0.name == "colour" && $0.inputs.contains { $0.name == "hints" } }
        return ContinuousFacts(
            halo: halo, tile: tile, chunk: chunk, colourSide: colourSide,
            gridSides: colourGridSides[0]...colourGridSides[1], shuffleScales: shuffleScales, takesHints: takesHints)
    }
}

extension Manifest.Port: Decodable {
    private enum Key: String, CodingKey { case name, shape, dtype }

    public init(from decoder: Decoder) throws {
        let table = try decoder.container(keyedBy: Key.self)
        name = try table.decode(String.self, forKey: .name)
        dtype = try table.decode(String.self, forKey: .dtype)
        // As Double first: a side of 180.5 shall be called a wrong shape, not invalid JSON.
        shape = try table.decode([Double].self, forKey: .shape).map { side in
            guard let whole = Int(exactly: side) else {
                throw DecodingError.dataCorruptedError(forKey: .shape, in: table, debugDescription: "\(side)")
            }
            return whole
        }
    }
}
