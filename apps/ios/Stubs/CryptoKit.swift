// Signatures only.
import Foundation

public struct SHA256Digest: Sequence {
    public func makeIterator() -> Array<UInt8>.Iterator { fatalError() }
}

public struct SHA256 {
    public init() { fatalError() }
    public mutating func update(data: Data) { fatalError() }
    public func finalize() -> SHA256Digest { fatalError() }
}
