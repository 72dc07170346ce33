/// Pictures and the numbers that networks see (edge_scs/imaging/arrays.py, edge_scs/color.py).
public enum Packing {
    private static let toYcc: [[Float]] = [
        [0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312],
    ]
    private static let toRgb: [[Float]] = [[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]]

    /// (1, 1, h, w) in [0, 1]: luma.
    public static func greyTensor(_ picture: Picture) -> Tensor {
        Tensor(shape: [1, 1, picture.size.height, picture.size.width], values: picture.grey.map { Float($0) / 255 })
    }

    /// (1, 3, h, w) in [0, 1].
    public static func rgbTensor(_ picture: Picture) -> Tensor {
        let area = picture.size.area
        var values = [Float](repeating: 0, count: 3 * area)
        for i in 0..<area {
            for channel in 0..<3 { values[channel * area + i] = Float(picture.bytes[4 * i + channel]) / 255 }
        }
        return Tensor(shape: [1, 3, picture.size.height, picture.size.width], values: values)
    }

    /// (1, 3, h, w) in [0, 1] to 8 bits, rounded to nearest.
    public static func picture(_ rgb: Tensor) -> Picture {
        let size = Size(height: rgb.shape[2], width: rgb.shape[3])
        var bytes = [UInt8](repeating: 255, count: 4 * size.area)
        for i in 0..<size.area {
            for channel in 0..<3 { bytes[4 * i + channel] = level(rgb.values[channel * size.area + i]) }
        }
        return Picture(size: size, bytes: bytes)
    }

    /// The nearest of 256 levels, halves to even. What is no number becomes 0: a self-test shows such a model.
    public static func level(_ value: Float) -> UInt8 {
        value.isNaN ? 0 : UInt8((min(max(value, 0), 1) * 255).rounded(.toNearestOrEven))
    }

    /// (1, 3, h, w): RGB to luma in [0, 1] and chroma in [-0.5, 0.5].
    public static func yccFromRgb(_ rgb: Tensor) -> Tensor { mix(rgb, toYcc) }

    /// The way back, not clamped.
    public static func rgbFromYcc(_ ycc: Tensor) -> Tensor { mix(ycc, toRgb) }

    private static func mix(_ x: Tensor, _ matrix: [[Float]]) -> Tensor {
        let n = x.values.count / 3
        var out = [Float](repeating: 0, count: 3 * n)
        for (channel, row) in matrix.enumerated() {
            for i in 0..<n {
                out[channel * n + i] = row[0] * x.values[i] + row[1] * x.values[n + i] + row[2] * x.values[2 * n + i]
            }
        }
        return Tensor(shape: x.shape, values: out)
    }

    /// Values in rows of 8 bits, as a pixel buffer wants them: one byte a pixel from (1, 1, h, w), else BGRA.
    public static func write(_ tensor: Tensor, to rows: UnsafeMutableRawBufferPointer, bytesPerRow: Int) {
        let (channels, height, width) = (tensor.shape[1], tensor.shape[2], tensor.shape[3])
        let order = channels == 1 ? ByteOrder.grey : ByteOrder.bgra
        for y in 0..<height {
            for x in 0..<width {
                let (from, to) = (y * width + x, y * bytesPerRow + x * order.bytesPerPixel)
                if channels == 1 {
                    rows[to] = level(tensor.values[from])
                    continue
                }
                for (channel, place) in [order.red, order.green, order.blue].enumerated() {
                    rows[to + place] = level(tensor.values[channel * height * width + from])
                }
                rows[to + 3] = 255
            }
        }
    }

    /// The values of an array whose axes may be padded: `strides` in elements, `element` reads one.
    public static func gather(shape: [Int], strides: [Int], element: (Int) -> Float) -> Tensor {
        var values: [Float] = []
        values.reserveCapacity(shape.reduce(1, *))
        visit(shape: shape, strides: strides) { values.append(element($0)) }
        return Tensor(shape: shape, values: values)
    }

    /// The way back: `store` gets the place and the value of every element.
    public static func scatter(_ tensor: Tensor, strides: [Int], store: (Int, Float) -> Void) {
        var next = 0
        visit(shape: tensor.shape, strides: strides) {
            store($0, tensor.values[next])
            next += 1
        }
    }

    private static func visit(shape: [Int], strides: [Int], _ body: (Int) -> Void) {
        for n in 0..<shape[0] {
            for c in 0..<shape[1] {
                for y in 0..<shape[2] {
                    let row = n * strides[0] + c * strides[1] + y * strides[2]
                    for x in 0..<shape[3] { body(row + x * strides[3]) }
                }
            }
        }
    }
}
