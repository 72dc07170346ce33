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
        // All methods of a continuous program, so that no first picture pays for it.
        let methods = artifact.manifest.continuous ? artifact.manifest.methods.map(\.name) : [choice.method]
        do {
            var found: Set<String> = []
            for method in methods {
                try module.load(method)
                found.formUnion(try module.methodMetadata(method).backendNames)
            }
            backends = found.sorted()
        } catch {
            let backend = artifact.manifest.backend
            throw ArtifactError(
                "\(artifact.id): ExecuTorch cannot load it (\(error.localizedDescription)); "
                    + "link the backend_\(backend) product with -all_load")
        }
    }

    func run(_ inputs: [EdgeSCSCore.Tensor]) throws -> Answer {
        let outputs = try runAll(choice.method, inputs)
        guard let rgb = outputs.tensors.first else {
            throw ArtifactError("\(artifact.id): gives no float32 picture; export the model again")
        }
        return Answer(tensor: rgb, inferenceMs: outputs.inferenceMs)
    }

    func runAll(_ method: String, _ inputs: [EdgeSCSCore.Tensor]) throws -> Outputs {
        let tensors = inputs.map { ExecuTorch.Tensor<Float>($0.values, shape: $0.shape) }
        let start = Clock.milliseconds()
        let outputs: [Value]
        do {
            outputs = try module.execute(method, tensors)
        } catch {
            throw ArtifactError("\(artifact.id): ExecuTorch failed (\(error.localizedDescription)); export it again")
        }
        let inferenceMs = Clock.milliseconds() - start
        let answers = try outputs.map { value in
            guard let answer: ExecuTorch.Tensor<Float> = value.tensor() else {
                throw ArtifactError("\(artifact.id): \(method) gives no float32 tensor; export the model again")
            }
            return EdgeSCSCore.Tensor(shape: answer.shape, values: answer.scalars())
        }
        return Outputs(tensors: answers, inferenceMs: inferenceMs)
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
