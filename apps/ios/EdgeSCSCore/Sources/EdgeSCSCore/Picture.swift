/// An RGB picture of 8 bits: `bytes` holds red, green, blue and 255 for every pixel, row after row.
public struct Picture: Equatable, Sendable {
    public let size: Size
    public let bytes: [UInt8]

    public init(size: Size, bytes: [UInt8]) {
        precondition(bytes.count == 4 * size.area, "a picture has four bytes a pixel")
        self.size = size
        self.bytes = bytes
    }

    /// From rows of a decoder or a pixel buffer, which may be padded; `order` says where a pixel's channels stand.
    public init(size: Size, rows: UnsafeRawBufferPointer, bytesPerRow: Int, order: ByteOrder) {
        var bytes = [UInt8](repeating: 255, count: 4 * size.area)
        for y in 0..<size.height {
            for x in 0..<size.width {
                let from = y * bytesPerRow + x * order.bytesPerPixel
                let to = 4 * (y * size.width + x)
                bytes[to] = rows[from + order.red]
                bytes[to + 1] = rows[from + order.green]
                bytes[to + 2] = rows[from + order.blue]
            }
        }
        self.init(size: size, bytes: bytes)
    }

    /// The part that begins at `top`, `left`; beyond the border the last row and column are repeated.
    public func part(top: Int, left: Int, size part: Size) -> Picture {
        if top == 0 && left == 0 && part == size { return self }
        var cut = [UInt8](repeating: 255, count: 4 * part.area)
        for y in 0..<part.height {
            let row = min(top + y, size.height - 1) * size.width
            for x in 0..<part.width {
                let from = 4 * (row + min(left + x, size.width - 1))
                let to = 4 * (y * part.width + x)
                for channel in 0..<3 { cut[to + channel] = bytes[from + channel] }
            }
        }
        return Picture(size: part, bytes: cut)
    }

    /// Luma of every pixel, rounded as Pillow's `convert("L")` rounds.
    public var grey: [UInt8] {
        (0..<size.area).map { (i: Int) -> UInt8 in
            var sum = 0x8000
            sum += Int(bytes[4 * i]) * 19595
            sum += Int(bytes[4 * i + 1]) * 38470
            sum += Int(bytes[4 * i + 2]) * 7471
            return UInt8(sum >> 16)
        }
    }

    /// Every colour's distance from the grey of its luma times `vividness`: the manifest's formula. 1 changes nothing.
    public func vivid(_ vividness: Float) -> Picture {
        if vividness == 1 { return self }
        var out = bytes
        for i in stride(from: 0, to: out.count, by: 4) {
            let (red, green, blue) = (Float(bytes[i]), Float(bytes[i + 1]), Float(bytes[i + 2]))
            let luma = 0.299 * red + 0.587 * green + 0.114 * blue
            for (channel, value) in [red, green, blue].enumerated() {
                let level = (luma + vividness * (value - luma)).rounded(.toNearestOrEven)
                out[i + channel] = UInt8(min(max(level, 0), 255))
            }
        }
        return Picture(size: size, bytes: out)
    }

    /// The same picture without its colours.
    public var withoutColour: Picture {
        var bytes = bytes
        for (i, level) in grey.enumerated() {
            for channel in 0..<3 { bytes[4 * i + channel] = level }
        }
        return Picture(size: size, bytes: bytes)
    }
}

/// Where red, green and blue stand among the bytes of a pixel.
public struct ByteOrder: Equatable, Sendable {
    public let bytesPerPixel, red, green, blue: Int

    public init(bytesPerPixel: Int, red: Int, green: Int, blue: Int) {
        (self.bytesPerPixel, self.red, self.green, self.blue) = (bytesPerPixel, red, green, blue)
    }

    public static let grey = ByteOrder(bytesPerPixel: 1, red: 0, green: 0, blue: 0)
    public static let rgb = ByteOrder(bytesPerPixel: 3, red: 0, green: 1, blue: 2)
    public static let rgba = ByteOrder(bytesPerPixel: 4, red: 0, green: 1, blue: 2)
    public static let bgra = ByteOrder(bytesPerPixel: 4, red: 2, green: 1, blue: 0)
    public static let argb = ByteOrder(bytesPerPixel: 4, red: 1, green: 2, blue: 3)
}
