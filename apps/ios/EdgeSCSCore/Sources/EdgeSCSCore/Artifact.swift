import Foundation

/// One way to use an artifact: pictures of `lr` become RGB pictures of `hr`.
public struct Choice: Equatable, Hashable, Sendable {
    /// The manifest's name of the method or function.
    public let method: String
    /// 1 for grey, 3 for RGB.
    public let channels: Int
    public let lr: Size
    public let hr: Size
    /// The size of the picture whose colours to use, or nil.
    public let reference: Size?
    /// The grid of the port for colour hints, or nil; this app gives none, which the network is told by zeros.
    public let hints: Size?
    /// Names of the inputs in their order, and of the output.
    public let inputs: [String]
    public let output: String
    /// Pixel buffers instead of tensors (Core ML); hints are a tensor all the same.
    public let images: Bool
    /// Of a continuous program, which takes any size and is driven by `Continuous`; nil for a method of one size.
    public internal(set) var magnification: Double? = nil

    /// What a continuous program does.
    public static let magnifications = 1.0...8.0
    /// Steps of `magnifications`: 1, 1.1, 1.2 ...
    public static let magnificationStep = 0.1

    /// A continuous program's work, at the nearest of the steps; named as the folder of its golden pair.
    public static func continuous(_ facts: ContinuousFacts, by wanted: Double) -> Choice {
        let tenths = (wanted * 10).rounded() / 10
        let by = min(max(tenths, magnifications.lowerBound), magnifications.upperBound)
        let side = Int((Double(facts.tile) * by).rounded(.toNearestOrEven))
        return Choice(
            method: "x" + String(format: "%g", by), channels: 1, lr: Size(height: facts.tile, width: facts.tile),
            hr: Size(height: side, width: side), reference: nil, hints: nil, inputs: ["gray"], output: "rgb",
            images: false, magnification: by)
    }

    public var scale: Double { magnification ?? Double(hr.height) / Double(lr.height) }

    /// "×4", "×2.5".
    public var scaleText: String { "×" + String(format: "%g", scale) }
}

/// An artifact in a folder with its manifest, as `edge-scs apps prepare` lays it there.
public struct Artifact: Equatable, Hashable, Sendable, Identifiable {
    public let url: URL
    public let manifest: Manifest
    public let choices: [Choice]

    public var id: String { url.lastPathComponent }

    public static func == (a: Artifact, b: Artifact) -> Bool { a.url == b.url && a.manifest == b.manifest }

    public func hash(into hasher: inout Hasher) { hasher.combine(url) }

    /// The folder of a golden pair, or nil: `input.png`, `expected.png`, sometimes `reference.png`. Nil where there is
    /// a port for hints: its pair was made with some, which no image holds.
    public func golden(_ choice: Choice) -> URL? {
        guard let golden = manifest.golden, choice.hints == nil, manifest.facts?.takesHints != true else { return nil }
        let folder = url.deletingLastPathComponent().appendingPathComponent(golden).appendingPathComponent(
            choice.method)
        let expected = folder.appendingPathComponent("expected.png")
        return FileManager.default.fileExists(atPath: expected.path) ? folder : nil
    }

    /// What the self-test runs: every choice, but of a continuous program those that have a golden pair.
    public var tested: [Choice] {
        let paired = choices.filter { golden($0) != nil }
        return manifest.continuous ? Array((paired + choices.prefix(1)).prefix(max(1, paired.count))) : choices
    }

    /// What can be run of the folders right below `root`, by name, and why the others cannot.
    ///
    /// `system` is the running iOS; `executorch` says whether its runtime is linked into the app.
    public static func all(
        in root: URL, system: Int, executorch: Bool
    ) -> (usable: [Artifact], refused: [ArtifactError]) {
        let folders = (try? FileManager.default.contentsOfDirectory(at: root, includingPropertiesForKeys: nil)) ?? []
        var usable: [Artifact] = []
        var refused: [ArtifactError] = []
        for folder in folders.sorted(by: { $0.lastPathComponent < $1.lastPathComponent }) where isFolder(folder) {
            do {
                usable.append(try open(folder, system: system, executorch: executorch))
            } catch let error as ArtifactError {
                refused.append(error)
            } catch {
                refused.append(
                    ArtifactError("\(folder.lastPathComponent): cannot be read (\(error.localizedDescription))"))
            }
        }
        return (usable, refused)
    }

    /// The artifact in a folder. Throws `ArtifactError` where there is none, or none that this app can run.
    public static func open(_ folder: URL, system: Int, executorch: Bool) throws -> Artifact {
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        let artifacts = files.filter { ["mlpackage", "pte"].contains($0.pathExtension) }
        guard artifacts.count == 1, let url = artifacts.first else {
            throw ArtifactError(
                "\(folder.lastPathComponent): has \(artifacts.count) artifacts, not one; run edge-scs apps prepare"
            )
        }
        let beside = URL(fileURLWithPath: url.path + ".json")
        guard let data = try? Data(contentsOf: beside) else {
            throw ArtifactError("\(beside.lastPathComponent): is missing; keep the manifest beside its artifact")
        }
        let manifest = try Manifest.read(data, name: beside.lastPathComponent)
        if manifest.artifact != url.lastPathComponent {
            throw ArtifactError("\(beside.lastPathComponent): belongs to \(manifest.artifact); export the model again")
        }
        let choices = try choices(manifest, system: system, executorch: executorch)
        return Artifact(url: url, manifest: manifest, choices: choices)
    }

    /// Throws `ArtifactError` for what cannot be run here, or does not turn pictures into pictures.
    public static func choices(_ manifest: Manifest, system: Int, executorch: Bool) throws -> [Choice] {
        let name = manifest.artifact
        if manifest.target == "executorch" {
            if manifest.backend == "vulkan" {
                throw ArtifactError("\(name): was lowered for Vulkan, which iOS lacks; prepare a coreml preset")
            }
            if !executorch {
                throw ArtifactError("\(name): needs the ExecuTorch package; add it to the project (README, step 7)")
            }
        }
        if let needed = manifest.minimumTarget.flatMap({ Int($0.drop(while: { !$0.isNumber })) }), needed > system {
            throw ArtifactError("\(name): needs iOS \(needed), this is iOS \(system); prepare another preset")
        }
        if let facts = manifest.facts {
            if manifest.target != "executorch" {
                throw ArtifactError("\(name): a continuous program needs ExecuTorch; prepare xnnpack-continuous")
            }
            return magnifications.map { .continuous(facts, by: $0) }
        }
        return try manifest.methods.map { try choice($0, name: name) }
    }

    /// The choices that a continuous program is listed with; `Choice.continuous` makes any other.
    static let magnifications = [2.0, 1.0, 1.5, 2.7, 3.0, 4.0, 6.0, 8.0]

    private static func choice(_ method: Manifest.Method, name: String) throws -> Choice {
        let input = method.inputs[0].shape
        let output = method.outputs[0].shape
        let guides = Array(method.inputs.dropFirst())
        let (reference, hints) = (
            guides.first { $0.name == "reference" }, guides.first { $0.name == "hints" }
        )
        let ports = method.inputs + method.outputs
        let known = guides == [reference, hints].compactMap { $0 } && guides.allSatisfy { $0.shape[1] == 3 }
        let pictures = [1, 3].contains(input[1]) && output[1] == 3 && ports.allSatisfy { $0.shape[0] == 1 }
        let kinds = Set(ports.filter { $0.name != "hints" }.map { $0.dtype == "image" })
        guard known, pictures, kinds.count == 1, hints?.dtype != "image" else {
            throw ArtifactError(
                "\(name): \(method.name) does not turn one picture into an RGB picture; export a model of ours")
        }
        let size = { (port: Manifest.Port) in Size(height: port.shape[2], width: port.shape[3]) }
        return Choice(
            method: method.name, channels: input[1], lr: Size(height: input[2], width: input[3]),
            hr: Size(height: output[2], width: output[3]), reference: reference.map(size), hints: hints.map(size),
            inputs: method.inputs.map(\.name), output: method.outputs[0].name, images: ports[0].dtype == "image")
    }

    /// What the manifest's sha256 is of: a file's content, or a package's relative paths, lengths and contents, sorted.
    public func feed(_ digest: (Data) -> Void) throws {
        guard Self.isFolder(url) else { return digest(try Data(contentsOf: url)) }
        var files: [(parts: [String], url: URL)] = []
        for path in try FileManager.default.subpathsOfDirectory(atPath: url.path) {
            let file = url.appendingPathComponent(path)
            if !Self.isFolder(file) { files.append((path.split(separator: "/").map(String.init), file)) }
        }
        for file in files.sorted(by: { $0.parts.lexicographicallyPrecedes($1.parts) }) {
            let content = try Data(contentsOf: file.url)
            digest(Data("\(file.parts.joined(separator: "/"))\0\(content.count)\0".utf8))
            digest(content)
        }
    }

    private static func isFolder(_ url: URL) -> Bool {
        var folder: ObjCBool = false
        return FileManager.default.fileExists(atPath: url.path, isDirectory: &folder) && folder.boolValue
    }
}
