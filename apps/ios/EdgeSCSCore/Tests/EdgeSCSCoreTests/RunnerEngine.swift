import Foundation
import XCTest

@testable import EdgeSCSCore

/// A .pte run by ExecuTorch on this machine, in a process of its own (apps/runner/runner.cpp) at the other end of two
/// pipes: apps/ios/test.sh starts it outside the folder that Swift runs in.
final class RunnerEngine: Engine {
    let backends = ["XnnpackBackend"]
    private let requests: FileHandle
    private let answers: FileHandle

    /// `<path>.requests` and `<path>.answers`; opening waits for the runner.
    init(_ path: String) throws {
        requests = try XCTUnwrap(FileHandle(forWritingAtPath: path + ".requests"), path)
        answers = try XCTUnwrap(FileHandle(forReadingAtPath: path + ".answers"), path)
    }

    func run(_ inputs: [Tensor]) throws -> Answer { throw ArtifactError("name a method") }

    func runAll(_ method: String, _ inputs: [Tensor]) throws -> Outputs {
        var request = bytes([method.utf8.count]) + Data(method.utf8) + bytes([inputs.count])
        for input in inputs {
            request += bytes([input.shape.count] + input.shape)
            request += input.values.withUnsafeBytes { Data($0) }
        }
        try requests.write(contentsOf: request)
        let code = try number()
        if code != 0 { throw ArtifactError("the runner failed with error \(code)") }
        return Outputs(tensors: try (0..<number()).map { _ in try tensor() }, inferenceMs: 1)
    }

    func close() throws { try requests.close() }

    private func tensor() throws -> Tensor {
        let shape = try (0..<number()).map { _ in try number() }
        let data = try read(4 * shape.reduce(1, *))
        let values = data.withUnsafeBytes { raw in
            (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        return Tensor(shape: shape, values: values)
    }

    private func bytes(_ numbers: [Int]) -> Data {
        numbers.map { UInt32($0).littleEndian }.withUnsafeBytes { Data($0) }
    }

    private func number() throws -> Int {
        Int(UInt32(littleEndian: try read(4).withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }))
    }

    private func read(_ count: Int) throws -> Data {
        var data = Data()
        while data.count < count {
            guard let more = try answers.read(upToCount: count - data.count), !more.isEmpty else {
                throw ArtifactError("the runner has ended")
            }
            data += more
        }
        return data
    }
}

/// A binary PPM of 8 bits: what Linux reads without Apple's ImageIO.
func readPpm(_ url: URL) throws -> Picture {
    let data = try Data(contentsOf: url)
    let head = try XCTUnwrap(data.range(of: Data("\n255\n".utf8)), url.path)
    let words = String(decoding: data[..<head.lowerBound], as: UTF8.self).split(whereSeparator: \.isWhitespace)
    guard words.count == 3, words[0] == "P6", let width = Int(words[1]), let height = Int(words[2]) else {
        throw ArtifactError("\(url.path): no PPM")
    }
    let pixels = data[head.upperBound...]
    return pixels.withUnsafeBytes {
        Picture(size: Size(height: height, width: width), rows: $0, bytesPerRow: 3 * width, order: .rgb)
    }
}
