import EdgeSCSCore

#if canImport(ExecuTorch)
import ExecuTorch

/// A .pte run by ExecuTorch, where its package was added to the project (README, step 7).
final class ExecuTorchEngine: Engine {
    /// Of the Swift package that the README names; pyproject.toml pins the same.
    static let version: String? = "1.4.1"
    static let isLinked = true

    let backends: [String]

    private let module: Module
    private let artifact: Artifact
    private let choice: Choice

    static func open(_ artifact: Artifact, _ choice: Choice) throws -> (engine: Engine, times: LoadTimes) {
        let start = Clock.milliseconds()
        let engine = try ExecuTorchEngine(artifact, choice)
        return (engine, LoadTimes(compileMs: nil, coldMs: Clock.milliseconds() - start))
    }

    private init(_ artifact: Artifact, _ choice: Choice) throws {
        self.artifact = artifact
        self.choice = choice
        module = Module(filePath: artifact.url.path)
        do {
            try module.load(choice.method)
            backends = try module.methodMetadata(choice.method).backendNames
        } catch {
            let backend = artifact.manifest.backend
            throw ArtifactError(
                "\(artifact.id): ExecuTorch cannot load it (\(error.localizedDescription)); "
                    + "link the backend_\(backend) product with -all_load")
        }
    }

    func run(_ inputs: [EdgeSCSCore.Tensor]) throws -> Answer {
        let tensors = inputs.map { ExecuTorch.Tensor<Float>($0.values, shape: $0.shape) }
        let start = Clock.milliseconds()
        let outputs: [Value]
        do {
            outputs = try module.execute(choice.method, tensors)
        } catch {
            throw ArtifactError("\(artifact.id): ExecuTorch failed (\(error.localizedDescription)); export it again")
        }
        let inferenceMs = Clock.milliseconds() - start
        guard let rgb: ExecuTorch.Tensor<Float> = outputs.first?.tensor() else {
            throw ArtifactError("\(artifact.id): gives no float32 picture; export the model again")
        }
        let answer = EdgeSCSCore.Tensor(shape: rgb.shape, values: rgb.scalars())
        return Answer(tensor: answer, inferenceMs: inferenceMs)
    }
}
#else
/// Stands in where the package is not there: `Artifact.all` then lists no .pte, so nobody opens one.
enum ExecuTorchEngine {
    static let version: String? = nil
    static let isLinked = false

    static func open(_ artifact: Artifact, _ choice: Choice) throws -> (engine: Engine, times: LoadTimes) {
        throw ArtifactError("\(artifact.id): needs the ExecuTorch package; add it to the project (README, step 7)")
    }
}
#endif
