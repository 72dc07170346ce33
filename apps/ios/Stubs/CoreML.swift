// Signatures only, of iOS 17 and 18.
@_exported import CoreVideo

public enum MLComputeUnits: Int, Sendable { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }

public final class MLModelConfiguration {
    public init() { fatalError() }
    public var computeUnits: MLComputeUnits {
        get { fatalError() }
        set { fatalError() }
    }
    @available(iOS 18.0, macOS 15.0, *)
    public var functionName: String? {
        get { fatalError() }
        set { fatalError() }
    }
}

public enum MLMultiArrayDataType: Int, Sendable { case double, float32, float16, int32 }

public final class MLMultiArrayConstraint {
    public var dataType: MLMultiArrayDataType { fatalError() }
}

public final class MLFeatureDescription {
    public var multiArrayConstraint: MLMultiArrayConstraint? { fatalError() }
}

public final class MLModelDescription {
    public var inputDescriptionsByName: [String: MLFeatureDescription] { fatalError() }
}

public final class MLMultiArray {
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws { fatalError() }
    public var shape: [NSNumber] { fatalError() }
    public var strides: [NSNumber] { fatalError() }
    public var dataType: MLMultiArrayDataType { fatalError() }
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R { fatalError() }
    public func withUnsafeMutableBytes<R>(
        _ body: (UnsafeMutableRawBufferPointer, [Int]) throws -> R
    ) rethrows -> R { fatalError() }
}

public final class MLFeatureValue {
    public convenience init(pixelBuffer: CVPixelBuffer) { fatalError() }
    public convenience init(multiArray: MLMultiArray) { fatalError() }
    public var imageBufferValue: CVPixelBuffer? { fatalError() }
    public var multiArrayValue: MLMultiArray? { fatalError() }
}

public protocol MLFeatureProvider {
    func featureValue(for name: String) -> MLFeatureValue?
}

public final class MLDictionaryFeatureProvider: MLFeatureProvider {
    public init(dictionary: [String: Any]) throws { fatalError() }
    public func featureValue(for name: String) -> MLFeatureValue? { fatalError() }
}

public final class MLModel {
    public class func compileModel(at url: URL) async throws -> URL { fatalError() }
    public class func load(contentsOf url: URL, configuration: MLModelConfiguration) async throws -> MLModel {
        fatalError()
    }
    public var modelDescription: MLModelDescription { fatalError() }
    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { fatalError() }
    public func prediction(from input: MLFeatureProvider, options: MLPredictionOptions) throws -> MLFeatureProvider {
        fatalError()
    }
    public func prediction(from input: MLFeatureProvider) async throws -> MLFeatureProvider { fatalError() }
}

public final class MLPredictionOptions {
    public init() { fatalError() }
    public var outputBackings: [String: Any] {
        get { fatalError() }
        set { fatalError() }
    }
}

public final class MLCPUComputeDevice {}
public final class MLGPUComputeDevice {}
public final class MLNeuralEngineComputeDevice {}

public enum MLComputeDevice {
    case cpu(MLCPUComputeDevice)
    case gpu(MLGPUComputeDevice)
    case neuralEngine(MLNeuralEngineComputeDevice)
}

public enum MLModelStructure {
    public struct Program {
        public struct Operation {
            public let operatorName: String
            public let blocks: [Block]
        }
        public struct Block { public let operations: [Operation] }
        public struct Function { public let block: Block }
        public let functions: [String: Function]
    }
    case program(Program)
    case unsupported
}

@available(iOS 17.4, macOS 14.4, *)
public final class MLComputePlan {
    public struct DeviceUsage { public let preferred: MLComputeDevice }
    public struct Cost { public let weight: Double }
    public class func load(contentsOf url: URL, configuration: MLModelConfiguration) async throws -> MLComputePlan {
        fatalError()
    }
    public var modelStructure: MLModelStructure { fatalError() }
    public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> DeviceUsage? { fatalError() }
    public func estimatedCost(of operation: MLModelStructure.Program.Operation) -> Cost? { fatalError() }
}
