import Foundation

/// What the user gave cannot be used: one sentence that names the file or key and the fix.
public struct ArtifactError: LocalizedError, Equatable, Sendable {
    public let message: String

    public init(_ message: String) { self.message = message }

    public var errorDescription: String? { message }
}

/// Rows and columns of pixels.
public struct Size: Equatable, Hashable, Sendable, CustomStringConvertible {
    public let height: Int
    public let width: Int

    public init(height: Int, width: Int) {
        self.height = height
        self.width = width
    }

    public var area: Int { height * width }

    public var description: String { "\(width)x\(height)" }
}

/// A float32 tensor: `shape` is (n, c, h, w), `values` in that order.
public struct Tensor: Equatable, Sendable {
    public let shape: [Int]
    public let values: [Float]

    public init(shape: [Int], values: [Float]) {
        precondition(shape.reduce(1, *) == values.count, "a tensor's values fill its shape")
        self.shape = shape
        self.values = values
    }
}

/// What an engine gives back: the picture, and the milliseconds of the runtime's own call, without any packing.
public struct Answer: Sendable {
    public let tensor: Tensor
    public let inferenceMs: Double

    public init(tensor: Tensor, inferenceMs: Double) {
        self.tensor = tensor
        self.inferenceMs = inferenceMs
    }
}

/// All that a named method gives back, and the milliseconds of the runtime's own call.
public struct Outputs: Sendable {
    public let tensors: [Tensor]
    public let inferenceMs: Double

    public init(tensors: [Tensor], inferenceMs: Double) {
        self.tensors = tensors
        self.inferenceMs = inferenceMs
    }
}

/// A loaded artifact, whatever runs it. Not for two threads at once.
public protocol Engine: AnyObject {
    /// The devices or delegates that run it, as the runtime reports them; empty where it does not tell.
    var backends: [String] { get }

    /// Inputs in the order of the manifest. Throws `ArtifactError`, with advice where the reason is known.
    func run(_ inputs: [Tensor]) throws -> Answer

    /// Every output of a named method: what continuous programs are made of. Throws like `run`.
    func runAll(_ method: String, _ inputs: [Tensor]) throws -> Outputs
}

extension Engine {
    /// Engines of fixed programs have the one method that they were opened for.
    public func runAll(_ method: String, _ inputs: [Tensor]) throws -> Outputs {
        throw ArtifactError("\(method): this engine runs no methods by name; export the model for ExecuTorch")
    }
}

/// Milliseconds of a clock that never goes back.
public enum Clock {
    public static func milliseconds() -> Double { Double(DispatchTime.now().uptimeNanoseconds) / 1e6 }
}
