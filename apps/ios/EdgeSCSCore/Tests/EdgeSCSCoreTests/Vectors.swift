import Foundation
import XCTest

@testable import EdgeSCSCore

/// One file of apps/testdata: what the Python package computes. `EDGE_SCS_TESTDATA` names another folder.
struct Vectors {
    let table: [String: Any]

    init(_ name: String) throws {
        let beside = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../../testdata")
            .standardizedFileURL
        let given = ProcessInfo.processInfo.environment["EDGE_SCS_TESTDATA"].map { URL(fileURLWithPath: $0) }
        let data = try Data(contentsOf: (given ?? beside).appendingPathComponent("\(name).json"))
        table = try XCTUnwrap(JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    init(table: [String: Any]) { self.table = table }

    func cases(_ key: String = "cases") throws -> [Vectors] {
        let found = try XCTUnwrap(table[key] as? [[String: Any]], key)
        XCTAssertFalse(found.isEmpty, key)
        return found.map { Vectors(table: $0) }
    }

    func has(_ key: String) -> Bool { table[key] != nil && !(table[key] is NSNull) }

    func int(_ key: String) throws -> Int { try XCTUnwrap(table[key] as? Int, key) }

    func double(_ key: String) throws -> Double { try XCTUnwrap(table[key] as? Double, key) }

    func text(_ key: String) throws -> String { try XCTUnwrap(table[key] as? String, key) }

    func ints(_ key: String) throws -> [Int] { try XCTUnwrap(table[key] as? [Int], key) }

    func texts(_ key: String) throws -> [String] { try XCTUnwrap(table[key] as? [String], key) }

    func doubles(_ key: String) throws -> [Double] { try XCTUnwrap(table[key] as? [Double], key) }

    func floats(_ key: String) throws -> [Float] { try doubles(key).map { Float($0) } }

    func rows(_ key: String) throws -> [[Float]] {
        try XCTUnwrap(table[key] as? [[Double]], key).map { $0.map { Float($0) } }
    }

    func size(_ key: String) throws -> Size {
        let sides = try ints(key)
        return Size(height: sides[0], width: sides[1])
    }

    /// Texts "aarrggbb" as a picture; one row where no size is given.
    func picture(_ key: String, _ size: Size? = nil) throws -> Picture {
        let words = try texts(key).map { try XCTUnwrap(UInt32($0, radix: 16)) }
        let bytes = words.flatMap { word -> [UInt8] in [16, 8, 0, 24].map { UInt8(word >> $0 & 255) } }
        return Picture(size: size ?? Size(height: 1, width: words.count), bytes: bytes)
    }

    func tensor(_ key: String, width: Int) throws -> Tensor {
        let values = try floats(key)
        return Tensor(shape: [1, values.count / width, 1, width], values: values)
    }
}

/// JSON values as one text, equal exactly where the values are.
func canonical(_ value: Any) throws -> String {
    let data = try JSONSerialization.data(withJSONObject: value, options: [.fragmentsAllowed, .sortedKeys])
    return String(decoding: data, as: UTF8.self)
}

func assertClose(
    _ got: [Float], _ expected: [Float], _ tolerance: Double, _ what: String, file: StaticString = #filePath,
    line: UInt = #line
) {
    XCTAssertEqual(got.count, expected.count, what, file: file, line: line)
    let worst = zip(got, expected).map { abs(Double($0) - Double($1)) }.max() ?? 0
    XCTAssertLessThanOrEqual(worst, tolerance, what, file: file, line: line)
}

extension Picture {
    static func grey(_ levels: [UInt8], _ size: Size) -> Picture {
        Picture(size: size, bytes: levels.flatMap { (level: UInt8) -> [UInt8] in [level, level, level, 255] })
    }
}

/// An engine that is one function of the inputs, and counts its calls.
final class RuleEngine: Engine {
    let backends = ["Rule"]
    private(set) var calls = 0
    private let rule: (Int, [Tensor]) throws -> Tensor

    init(_ rule: @escaping (_ call: Int, _ inputs: [Tensor]) throws -> Tensor) { self.rule = rule }

    func run(_ inputs: [Tensor]) throws -> Answer {
        defer { calls += 1 }
        return Answer(tensor: try rule(calls, inputs), inferenceMs: Double(calls + 1))
    }
}

/// The rule of apps/testdata/README.md for blending.json.
func tinting(to hr: Size) -> RuleEngine {
    RuleEngine { (call: Int, inputs: [Tensor]) -> Tensor in
        let h: Int = inputs[0].shape[2]
        let w: Int = inputs[0].shape[3]
        let n: Int = hr.area
        let tint = Float(call % 4) / 4
        var out = [Float](repeating: 0, count: 3 * n)
        for i in 0..<n {
            let row: Int = (i / hr.width) * h / hr.height
            let column: Int = (i % hr.width) * w / hr.width
            let grey: Float = inputs[0].values[row * w + column]
            out[i] = grey
            out[n + i] = grey * 0.5 + tint * 0.5
            out[2 * n + i] = 1 - grey
        }
        return Tensor(shape: [1, 3, hr.height, hr.width], values: out)
    }
}

func choice(_ lr: Size, _ hr: Size, channels: Int = 1, reference: Size? = nil, hints: Size? = nil) -> Choice {
    Choice(
        method: "forward", channels: channels, lr: lr, hr: hr, reference: reference, hints: hints,
        inputs: ["gray"] + (reference == nil ? [] : ["reference"]) + (hints == nil ? [] : ["hints"]), output: "rgb",
        images: false)
}
