import CoreML
import CoreVideo
import EdgeSCSCore
import Foundation

/// An .mlpackage run by Core ML. Compiled packages are kept in the caches folder under the artifact's sha256.
///
/// Sendable unchecked: it is made outside the one actor that then uses it (`Runner`).
final class CoreMLEngine: Engine, @unchecked Sendable {
    let compiled: URL
    private(set) var backends: [String] = []

    private let model: MLModel
    private let artifact: Artifact
    private let choice: Choice
    private let units: ComputeUnits
    private var pools: [String: PixelBufferPool] = [:]

    /// Load an artifact, compiling it if that was not done before; `fresh` compiles in any case.
    static func open(
        _ artifact: Artifact, _ choice: Choice, units: ComputeUnits, fresh: Bool = false
    ) async throws -> (engine: CoreMLEngine, times: LoadTimes) {
        let place = try compiledPlace(artifact)
        var compileMs: Double?
        if fresh || !FileManager.default.fileExists(atPath: place.path) {
            let start = Clock.milliseconds()
            let made = try await MLModel.compileModel(at: artifact.url)
            compileMs = Clock.milliseconds() - start
            try? FileManager.default.removeItem(at: place)
            try FileManager.default.moveItem(at: made, to: place)
        }
        let start = Clock.milliseconds()
        let model = try await MLModel.load(
            contentsOf: place, configuration: configuration(artifact, choice, units: units))
        let times = LoadTimes(compileMs: compileMs, coldMs: Clock.milliseconds() - start)
        return (CoreMLEngine(model, compiled: place, artifact, choice, units), times)
    }

    private init(_ model: MLModel, compiled: URL, _ artifact: Artifact, _ choice: Choice, _ units: ComputeUnits) {
        self.model = model
        self.compiled = compiled
        self.artifact = artifact
        self.choice = choice
        self.units = units
    }

    func run(_ inputs: [Tensor]) throws -> Answer {
        var features: [String: Any] = [:]
        for (name, tensor) in zip(choice.inputs, inputs) { features[name] = try feature(tensor, name: name) }
        let provider = try MLDictionaryFeatureProvider(dictionary: features)
        let options = MLPredictionOptions()
        if choice.images {  // Core ML writes into our buffer; it would make one for every call
            options.outputBackings = [choice.output: try pool(choice.output, choice.hr, grey: false).buffer()]
        }
        let start = Clock.milliseconds()
        let output: MLFeatureProvider
        do {
            output = try model.prediction(from: provider, options: options)
        } catch {
            throw ArtifactError(
                "\(artifact.id): Core ML refused (\(error.localizedDescription)); try other compute units")
        }
        let inferenceMs = Clock.milliseconds() - start
        return Answer(tensor: try tensor(output), inferenceMs: inferenceMs)
    }

    private func pool(_ port: String, _ size: Size, grey: Bool) throws -> PixelBufferPool {
        if let made = pools[port] { return made }
        let made = try PixelBufferPool(size: size, grey: grey)
        pools[port] = made
        return made
    }

    /// Ask Core ML which device it prefers for each operation. Nil before iOS 17.4, and where it does not tell.
    func plan() async throws -> ComputePlan? {
        guard #available(iOS 17.4, *) else { return nil }
        let plan = try await MLComputePlan.load(
            contentsOf: compiled, configuration: Self.configuration(artifact, choice, units: units))
        guard case .program(let program) = plan.modelStructure,
            let function = program.functions[choice.method] ?? program.functions["main"]
        else { return nil }
        let operations = function.block.operations.map { operation in
            ComputePlan.Operation(
                name: operation.operatorName, device: plan.deviceUsage(for: operation).map { Self.name($0.preferred) },
                cost: plan.estimatedCost(of: operation)?.weight)
        }
        let summary = ComputePlan(operations)
        backends = summary.devices
        return summary
    }

    @available(iOS 17.4, *)
    private static func name(_ device: MLComputeDevice) -> String {
        switch device {
        case .cpu: "CPU"
        case .gpu: "GPU"
        case .neuralEngine: "Neural Engine"
        @unknown default: "unknown"
        }
    }

    private static func configuration(
        _ artifact: Artifact, _ choice: Choice, units: ComputeUnits
    ) -> MLModelConfiguration {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units.coreML
        // A package of one size has one function, "main", whatever the manifest calls it.
        if artifact.choices.count > 1, #available(iOS 18.0, *) { configuration.functionName = choice.method }
        return configuration
    }

    private static func compiledPlace(_ artifact: Artifact) throws -> URL {
        try compiledFolder().appendingPathComponent(artifact.manifest.sha256 + ".mlmodelc", isDirectory: true)
    }

    private static func compiledFolder() throws -> URL {
        let caches = try FileManager.default.url(
            for: .cachesDirectory, in: .userDomainMask, appropriateFor: nil, create: true)
        let folder = caches.appendingPathComponent("compiled", isDirectory: true)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    /// Remove what was compiled of packages that the app no longer has: tens of megabytes each.
    static func purge(keeping digests: Set<String>) {
        guard let folder = try? compiledFolder() else { return }
        let found = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        for place in found where !digests.contains(place.deletingPathExtension().lastPathComponent) {
            try? FileManager.default.removeItem(at: place)
        }
    }
}

extension CoreMLEngine {
    private func feature(_ tensor: Tensor, name: String) throws -> MLFeatureValue {
        if choice.images && name != "hints" {  // chroma has a sign, which pixel buffers have not
            let size = Size(height: tensor.shape[2], width: tensor.shape[3])
            let buffer = try pool(name, size, grey: tensor.shape[1] == 1).buffer()
            PixelBuffer.fill(buffer, with: tensor)
            return MLFeatureValue(pixelBuffer: buffer)
        }
        let wanted = model.modelDescription.inputDescriptionsByName[name]?.multiArrayConstraint?.dataType ?? .float32
        let shape = tensor.shape.map { NSNumber(value: $0) }
        let array = try MLMultiArray(shape: shape, dataType: wanted)
        let half = wanted == .float16
        array.withUnsafeMutableBytes { bytes, strides in
            Packing.scatter(tensor, strides: strides) { place, value in
                if half {
                    bytes.storeBytes(of: Float16(value), toByteOffset: 2 * place, as: Float16.self)
                } else {
                    bytes.storeBytes(of: value, toByteOffset: 4 * place, as: Float.self)
                }
            }
        }
        return MLFeatureValue(multiArray: array)
    }

    private func tensor(_ output: MLFeatureProvider) throws -> Tensor {
        let value = output.featureValue(for: choice.output)
        if choice.images, let buffer = value?.imageBufferValue {
            return Packing.rgbTensor(try PixelBuffer.picture(buffer))
        }
        guard let array = value?.multiArrayValue, array.dataType == .float16 || array.dataType == .float32 else {
            throw ArtifactError("\(artifact.id): gives no picture named \(choice.output); export the model again")
        }
        let half = array.dataType == .float16
        let (shape, strides) = (array.shape.map(\.intValue), array.strides.map(\.intValue))
        return array.withUnsafeBytes { bytes in
            Packing.gather(shape: shape, strides: strides) { place in
                half
                    ? Float(bytes.loadUnaligned(fromByteOffset: 2 * place, as: Float16.self))
                    : bytes.loadUnaligned(fromByteOffset: 4 * place, as: Float.self)
            }
        }
    }
}
