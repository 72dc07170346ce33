import CoreVideo
import EdgeSCSCore

/// Pixel buffers as the coreml-image artifacts take and give them.
enum PixelBuffer {
    /// Of the tensor's size: (1, 1, h, w) into 8-bit grey, (1, 3, h, w) into 32-bit BGRA.
    static func fill(_ buffer: CVPixelBuffer, with tensor: Tensor) {
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        let bytesPerRow = CVPixelBufferGetBytesPerRow(buffer)
        let rows = UnsafeMutableRawBufferPointer(
            start: CVPixelBufferGetBaseAddress(buffer), count: bytesPerRow * tensor.shape[2])
        Packing.write(tensor, to: rows, bytesPerRow: bytesPerRow)
    }

    static func picture(_ buffer: CVPixelBuffer) throws -> Picture {
        let order: ByteOrder
        switch CVPixelBufferGetPixelFormatType(buffer) {
        case kCVPixelFormatType_32BGRA: order = .bgra
        case kCVPixelFormatType_32ARGB: order = .argb
        case kCVPixelFormatType_32RGBA: order = .rgba
        default: throw ArtifactError("Core ML gave pixels of an unknown format; prepare coreml-fp16")
        }
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        let size = Size(height: CVPixelBufferGetHeight(buffer), width: CVPixelBufferGetWidth(buffer))
        let bytesPerRow = CVPixelBufferGetBytesPerRow(buffer)
        let rows = UnsafeRawBufferPointer(start: CVPixelBufferGetBaseAddress(buffer), count: bytesPerRow * size.height)
        return Picture(size: size, rows: rows, bytesPerRow: bytesPerRow, order: order)
    }
}

/// Buffers of one size and format, used again and again. IOSurface lies behind them, so that GPU and Neural Engine
/// read and write them where they are.
final class PixelBufferPool {
    private let pool: CVPixelBufferPool

    init(size: Size, grey: Bool) throws {
        let attributes: [CFString: Any] = [
            kCVPixelBufferWidthKey: size.width,
            kCVPixelBufferHeightKey: size.height,
            kCVPixelBufferPixelFormatTypeKey: grey ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA,
            kCVPixelBufferIOSurfacePropertiesKey: [CFString: Any](),
        ]
        var made: CVPixelBufferPool?
        let status = CVPixelBufferPoolCreate(kCFAllocatorDefault, nil, attributes as CFDictionary, &made)
        guard status == kCVReturnSuccess, let made else {
            throw ArtifactError("pixel buffers of \(size) could not be made (\(status)); close other apps")
        }
        pool = made
    }

    func buffer() throws -> CVPixelBuffer {
        var made: CVPixelBuffer?
        let status = CVPixelBufferPoolCreatePixelBuffer(kCFAllocatorDefault, pool, &made)
        guard status == kCVReturnSuccess, let made else {
            throw ArtifactError("a pixel buffer could not be made (\(status)); close other apps")
        }
        return made
    }
}
