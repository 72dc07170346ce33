import CoreGraphics
import EdgeSCSCore
import Foundation
import ImageIO
import UniformTypeIdentifiers

/// Pictures from files and back.
enum PictureFile {
    /// A photograph in any format that the system reads: upright, in sRGB, its longer side at most `side`.
    static func photograph(_ data: Data, side: Int) throws -> Picture {
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: true,
            // Larger than asked for, because our own filter, the one of the training, does the rest.
            kCGImageSourceThumbnailMaxPixelSize: 4 * side,
        ]
        guard let source = CGImageSourceCreateWithData(data as CFData, nil),
            let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary),
            let space = CGColorSpace(name: CGColorSpace.sRGB)
        else { throw ArtifactError("this file is no picture that iOS reads; choose another one") }
        let size = Size(height: image.height, width: image.width)
        var bytes = [UInt8](repeating: 255, count: 4 * size.area)
        let drawn = bytes.withUnsafeMutableBytes { memory -> Bool in
            guard
                let context = CGContext(
                    data: memory.baseAddress, width: size.width, height: size.height, bitsPerComponent: 8,
                    bytesPerRow: 4 * size.width, space: space, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
            else { return false }
            let whole = CGRect(x: 0, y: 0, width: size.width, height: size.height)
            context.setFillColor(CGColor(red: 1, green: 1, blue: 1, alpha: 1))  // transparent pictures lie on white
            context.fill(whole)
            context.draw(image, in: whole)
            return true
        }
        guard drawn else { throw ArtifactError("the picture is too large for this phone; choose a smaller one") }
        let picture = bytes.withUnsafeBytes {
            Picture(size: size, rows: $0, bytesPerRow: 4 * size.width, order: .rgba)
        }
        return Resizing.fit(picture, side: side)
    }

    /// The bytes of a PNG of 8 bits as they are, without any colour management: for golden pairs.
    static func exact(_ url: URL) throws -> Picture {
        guard let source = CGImageSourceCreateWithURL(url as CFURL, nil),
            let image = CGImageSourceCreateImageAtIndex(source, 0, nil), image.bitsPerComponent == 8,
            let data = image.dataProvider?.data as Data?, let order = order(image)
        else { throw ArtifactError("\(url.lastPathComponent): no PNG of 8 bits; run edge-scs apps prepare again") }
        let size = Size(height: image.height, width: image.width)
        return data.withUnsafeBytes { Picture(size: size, rows: $0, bytesPerRow: image.bytesPerRow, order: order) }
    }

    private static func order(_ image: CGImage) -> ByteOrder? {
        let little = image.bitmapInfo.contains(.byteOrder32Little)
        let first = [.first, .noneSkipFirst, .premultipliedFirst].contains(image.alphaInfo)
        switch (image.bitsPerPixel, little, first) {
        case (8, _, _): return .grey
        case (24, _, _): return .rgb
        case (32, true, true): return .bgra
        case (32, false, true): return .argb
        case (32, false, false): return .rgba
        default: return nil
        }
    }

    static func image(_ picture: Picture) -> CGImage? {
        guard let space = CGColorSpace(name: CGColorSpace.sRGB),
            let provider = CGDataProvider(data: Data(picture.bytes) as CFData)
        else { return nil }
        return CGImage(
            width: picture.size.width, height: picture.size.height, bitsPerComponent: 8, bitsPerPixel: 32,
            bytesPerRow: 4 * picture.size.width, space: space,
            bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.noneSkipLast.rawValue), provider: provider, decode: nil,
            shouldInterpolate: true, intent: .defaultIntent)
    }

    /// Write a PNG to share; its name ends up in the receiving app.
    static func write(_ picture: Picture, named name: String) throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent(name)
        guard let image = image(picture),
            let destination = CGImageDestinationCreateWithURL(url as CFURL, UTType.png.identifier as CFString, 1, nil)
        else { throw ArtifactError("\(name): cannot be written; free some storage") }
        CGImageDestinationAddImage(destination, image, nil)
        guard CGImageDestinationFinalize(destination) else {
            throw ArtifactError("\(name): cannot be written; free some storage")
        }
        return url
    }
}
