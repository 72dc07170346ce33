// Signatures only.
@_exported import CoreGraphics

public final class CVPixelBuffer {}
public typealias CVReturn = Int32
public typealias OSType = UInt32
public struct CFAllocator {}
public struct CVPixelBufferLockFlags: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static var readOnly: CVPixelBufferLockFlags { fatalError() }
}
public let kCFAllocatorDefault: CFAllocator? = nil
public let kCVReturnSuccess: CVReturn = 0
public let kCVPixelFormatType_OneComponent8: OSType = 1
public let kCVPixelFormatType_32BGRA: OSType = 2
public let kCVPixelFormatType_32ARGB: OSType = 3
public let kCVPixelFormatType_32RGBA: OSType = 4
public final class CVPixelBufferPool {}
public var kCVPixelBufferWidthKey: CFString { fatalError() }
public var kCVPixelBufferHeightKey: CFString { fatalError() }
public var kCVPixelBufferPixelFormatTypeKey: CFString { fatalError() }
public var kCVPixelBufferIOSurfacePropertiesKey: CFString { fatalError() }
public func CVPixelBufferPoolCreate(
    _ allocator: CFAllocator?, _ attributes: CFDictionary?, _ buffers: CFDictionary?,
    _ pool: UnsafeMutablePointer<CVPixelBufferPool?>
) -> CVReturn { fatalError() }
public func CVPixelBufferPoolCreatePixelBuffer(
    _ allocator: CFAllocator?, _ pool: CVPixelBufferPool, _ buffer: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn { fatalError() }
@discardableResult
public func CVPixelBufferLockBaseAddress(_ b: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> CVReturn {
    fatalError()
}
@discardableResult
public func CVPixelBufferUnlockBaseAddress(_ b: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> CVReturn {
    fatalError()
}
public func CVPixelBufferGetBaseAddress(_ b: CVPixelBuffer) -> UnsafeMutableRawPointer? { fatalError() }
public func CVPixelBufferGetBytesPerRow(_ b: CVPixelBuffer) -> Int { fatalError() }
public func CVPixelBufferGetHeight(_ b: CVPixelBuffer) -> Int { fatalError() }
public func CVPixelBufferGetWidth(_ b: CVPixelBuffer) -> Int { fatalError() }
public func CVPixelBufferGetPixelFormatType(_ b: CVPixelBuffer) -> OSType { fatalError() }
