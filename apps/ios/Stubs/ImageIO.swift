// Signatures only.
@_exported import CoreGraphics

public final class CGImageSource {}
public final class CGImageDestination {}
public let kCGImageSourceCreateThumbnailFromImageAlways: CFString = ""
public let kCGImageSourceCreateThumbnailWithTransform: CFString = ""
public let kCGImageSourceThumbnailMaxPixelSize: CFString = ""
public func CGImageSourceCreateWithData(_ data: CFData, _ options: CFDictionary?) -> CGImageSource? { fatalError() }
public func CGImageSourceCreateWithURL(_ url: CFURL, _ options: CFDictionary?) -> CGImageSource? { fatalError() }
public func CGImageSourceCreateImageAtIndex(_ s: CGImageSource, _ i: Int, _ options: CFDictionary?) -> CGImage? {
    fatalError()
}
public func CGImageSourceCreateThumbnailAtIndex(_ s: CGImageSource, _ i: Int, _ options: CFDictionary?) -> CGImage? {
    fatalError()
}
public func CGImageDestinationCreateWithURL(
    _ url: CFURL, _ type: CFString, _ count: Int, _ options: CFDictionary?
) -> CGImageDestination? { fatalError() }
public func CGImageDestinationAddImage(_ d: CGImageDestination, _ image: CGImage, _ properties: CFDictionary?) {
    fatalError()
}
public func CGImageDestinationFinalize(_ d: CGImageDestination) -> Bool { fatalError() }
