// Signatures only, of ExecuTorch 1.4.1 (extension/apple/ExecuTorch/Exported).
import Foundation

public protocol Scalar {}
extension Float: Scalar {}

public protocol ValueConvertible {}

public final class Value: ValueConvertible {
    public func tensor<T: Scalar>() -> Tensor<T>? { fatalError() }
}

public enum ShapeDynamism { case dynamicBound }

public final class Tensor<T: Scalar>: ValueConvertible {
    public convenience init(
        _ scalars: [T], shape: [Int] = [], strides: [Int] = [], dimensionOrder: [Int] = [],
        shapeDynamism: ShapeDynamism = .dynamicBound
    ) { fatalError() }
    public var shape: [Int] { fatalError() }
    public func scalars() -> [T] { fatalError() }
}

public protocol ValueSequenceConstructible {}

public final class MethodMetadata {
    public var backendNames: [String] { fatalError() }
}

public enum ModuleLoadMode { case file }

public final class Module {
    public init(filePath: String, loadMode: ModuleLoadMode = .file) { fatalError() }
    public func load(_ method: String) throws { fatalError() }
    public func methodMetadata(_ method: String) throws -> MethodMetadata { fatalError() }
    public func execute(_ method: String, _ inputs: [ValueConvertible]) throws -> [Value] { fatalError() }
    public func execute(_ method: String, _ inputs: ValueConvertible...) throws -> [Value] { fatalError() }
    public func execute<Output: ValueSequenceConstructible>(_ method: String, _ inputs: [ValueConvertible]) throws
        -> Output
    { fatalError() }
}
