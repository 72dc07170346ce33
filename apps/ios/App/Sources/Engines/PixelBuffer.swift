import CoreVideo
import EdgeSCSCore

/// Pixel buffers as the coreml-image artifacts take and give them.
enum PixelBuffer {
    /// (1, 1, h, w) becomes 8-bit grey, (1, 3, h, w) 32-bit BGRA.
    static func make(_ tensor: Tensor) throws -> CVPixelBuffer {
        let grey = tensor.shape[1] == 1
        var made: CVPixelBuffer?
        let status = CVPixelBufferCreate(
            kCFAllocatorDefault, tensor.shape[3], tensor.shape[2],
            grey ? kCVPixelFormatType_OneComponent8 : kCVPixelFormatType_32BGRA, nil, &made)
        guard status == kCVReturnSuccess, let buffer = made else {
            throw ArtifactError("a pixel buffer could not be made (\(status)); close other apps")
        }
        CVPixelBufferLockBaseAddress(buffer, [])
        defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
        let bytesPerRow = CVPixelBufferGetBytesPerRow(buffer)
        let rows = UnsafeMutableRawBufferPointer(
            start: CVPixelBufferGetBaseAddress(buffer), count: bytesPerRow * tensor.shape[2])
        Packing.write(tensor, to: rows, bytesPerRow: bytesPerRow)
        return buffer
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
