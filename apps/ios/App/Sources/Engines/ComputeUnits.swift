import CoreML

/// What Core ML may use; the raw values are those of the latency JSON.
enum ComputeUnits: String, CaseIterable, Identifiable, Sendable {
    case all
    case cpuAndNeuralEngine = "cpu_and_neural_engine"
    case cpuAndGPU = "cpu_and_gpu"
    case cpuOnly = "cpu_only"

    var id: String { rawValue }

    var title: String {
        switch self {
        case .all: "All"
        case .cpuAndNeuralEngine: "CPU and Neural Engine"
        case .cpuAndGPU: "CPU and GPU"
        case .cpuOnly: "CPU only"
        }
    }

    var coreML: MLComputeUnits {
        switch self {
        case .all: .all
        case .cpuAndNeuralEngine: .cpuAndNeuralEngine
        case .cpuAndGPU: .cpuAndGPU
        case .cpuOnly: .cpuOnly
        }
    }
}
