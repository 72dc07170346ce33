import Foundation
import XCTest

@testable import EdgeSCSCore

final class ArtifactTests: XCTestCase {
    private var root: URL!

    override func setUpWithError() throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(at: root) }

    private func write(_ text: String, _ path: String) throws {
        let url = root.appendingPathComponent(path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    /// The manifest of that name in manifest.json, some values changed.
    private func manifest(_ name: String, _ changes: [String: Any] = [:]) throws -> String {
        let found = try Vectors("manifest").cases("readable").first { try $0.text("name") == name }
        let text = try XCTUnwrap(found).text("text")
        var table = try XCTUnwrap(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        table.merge(changes) { $1 }
        return String(decoding: try JSONSerialization.data(withJSONObject: table), as: UTF8.self)
    }

    func testFoldersAreReadAndTheOthersNamed() throws {
        try write(try manifest("Core ML"), "b/m.mlpackage.json")
        try write("{}", "b/m.mlpackage/Manifest.json")
        try write("picture", "b/m.pte.golden/main/expected.png")
        try write(try manifest("one size"), "a/m.pte.json")
        try write("program", "a/m.pte")
        try write("alone", "c/m.pte")
        try write("", "d/nothing.txt")
        try write("not a folder", "README.md")
        let (usable, refused) = Artifact.all(in: root, system: 17, executorch: true)
        XCTAssertEqual(usable.map(\.id), ["m.pte", "m.mlpackage"])
        XCTAssertEqual(refused.count, 2)
        XCTAssertTrue(refused[0].message.contains("m.pte.json: is missing"))
        XCTAssertTrue(refused[1].message.contains("d: has 0 artifacts"))
        XCTAssertNil(usable[0].golden(usable[0].choices[0]))
        XCTAssertEqual(usable[1].golden(usable[1].choices[0])?.lastPathComponent, "main")
        try write(try manifest("Core ML with hints"), "b/m.mlpackage.json")
        let hinted = try Artifact.open(root.appendingPathComponent("b"), system: 17, executorch: true)
        XCTAssertNil(hinted.golden(hinted.choices[0]))
        try write(try manifest("Core ML"), "b/m.mlpackage.json")
        XCTAssertEqual(Artifact.all(in: root, system: 17, executorch: false).usable.map(\.id), ["m.mlpackage"])
        XCTAssertTrue(
            Artifact.all(in: root.appendingPathComponent("none"), system: 17, executorch: true).usable.isEmpty)
    }

    func testChoicesAreTheManifestsMethods() throws {
        let several = try read("several sizes")
        let choices = try Artifact.choices(several, system: 17, executorch: true)
        XCTAssertEqual(choices.map(\.method), ["forward", "x2_640x360"])
        XCTAssertEqual(choices.map(\.scaleText), ["×4", "×2"])
        XCTAssertEqual(choices.map(\.lr), [Size(height: 180, width: 320), Size(height: 360, width: 640)])
        let led = try Artifact.choices(try read("with a reference"), system: 17, executorch: true)[0]
        XCTAssertEqual(led.reference, Size(height: 128, width: 128))
        XCTAssertEqual(led.inputs, ["gray", "reference"])
        XCTAssertEqual(led.output, "rgb")
        XCTAssertFalse(led.images)
        XCTAssertNil(led.hints)
        let hinted = try Artifact.choices(try read("with a reference and hints"), system: 17, executorch: true)[0]
        XCTAssertEqual(hinted.inputs, ["gray", "reference", "hints"])
        XCTAssertEqual(hinted.reference, Size(height: 128, width: 128))
        XCTAssertEqual(hinted.hints, Size(height: 45, width: 80))
        let alone = try Artifact.choices(try read("Core ML with hints"), system: 17, executorch: false)[0]
        XCTAssertEqual(alone.hints, Size(height: 45, width: 80))
        XCTAssertNil(alone.reference)
        XCTAssertTrue(alone.images)
        let strange = try manifest("with hints").replacingOccurrences(of: "\"hints\"", with: "\"depth\"")
        assertRefused("RGB picture") {
            let table = try Manifest.read(Data(strange.utf8), name: "m")
            _ = try Artifact.choices(table, system: 17, executorch: true)
        }
        XCTAssertTrue(try Artifact.choices(try read("Core ML"), system: 17, executorch: false)[0].images)
    }

    func testAContinuousProgramTakesAnyMagnification() throws {
        let facts = try XCTUnwrap(try read("continuous").facts)
        XCTAssertEqual(
            facts,
            ContinuousFacts(
                halo: 22, tile: 256, chunk: 128, colourSide: 240, gridSides: 32...512, shuffleScales: [2, 3, 4],
                takesHints: false))
        XCTAssertTrue(try XCTUnwrap(try read("continuous with hints").facts).takesHints)
        let choices = try Artifact.choices(try read("continuous"), system: 17, executorch: true)
        XCTAssertEqual(choices.map(\.method), ["x2", "x1", "x1.5", "x2.7", "x3", "x4", "x6", "x8"])
        for (wanted, by, text) in [
            (2.7000000000000002, 2.7, "×2.7"), (0.2, 1, "×1"), (9, 8, "×8"), (1.26, 1.3, "×1.3"),
        ] {
            let choice = Choice.continuous(facts, by: wanted)
            XCTAssertEqual(choice.magnification, by)
            XCTAssertEqual(choice.scale, by)
            XCTAssertEqual(choice.scaleText, text)
        }
    }

    func testAContinuousProgramIsTestedWhereItHasAPair() throws {
        for name in ["continuous", "continuous with hints"] {
            try write(try manifest(name), "a/m.pte.json")
            try write("program", "a/m.pte")
            let folder = root.appendingPathComponent("a")
            let bare = try Artifact.open(folder, system: 17, executorch: true)
            XCTAssertEqual(bare.tested.map(\.method), ["x2"])
            try write("picture", "a/m.pte.golden/x2.7/expected.png")
            let paired = try Artifact.open(folder, system: 17, executorch: true)
            XCTAssertEqual(paired.tested.map(\.method), [name == "continuous" ? "x2.7" : "x2"])
            try FileManager.default.removeItem(at: folder)
        }
        try write(try manifest("several sizes"), "b/m.pte.json")
        try write("program", "b/m.pte")
        let sizes = try Artifact.open(root.appendingPathComponent("b"), system: 17, executorch: true)
        XCTAssertEqual(sizes.tested, sizes.choices)
    }

    func testNumbersThatTheDriverCannotUseAreRefused() throws {
        let good: [String: Any] = [
            "halo": 22, "tile": 256, "chunk": 128, "colour_side": 240, "colour_grid_sides": [32, 512],
            "shuffle_scales": [2, 3, 4],
        ]
        XCTAssertNotNil(try read("continuous", ["continuous": good]).facts)
        for (key, value) in [
            ("halo", -1), ("tile", 46), ("chunk", 0), ("colour_side", 0), ("colour_grid_sides", [512, 32]),
            ("colour_grid_sides", [32]), ("shuffle_scales", "2"), ("tile", "256"),
        ] as [(String, Any)] {
            assertRefused(key) { _ = try read("continuous", ["continuous": good.merging([key: value]) { $1 }]) }
        }
    }

    func testWhatThisPhoneCannotRunIsRefusedWithTheFix() throws {
        for (name, changes, system, executorch, words) in [
            ("continuous", [:], 18, false, "ExecuTorch package"), ("one size", [:], 18, false, "ExecuTorch package"),
            ("continuous", ["target": "coreml"], 18, true, "needs ExecuTorch"),
            ("not run here", [:], 18, true, "lowered for Vulkan"),
            ("Core ML", ["minimum_target": "iOS18"], 17, true, "needs iOS 18, this is iOS 17"),
        ] as [(String, [String: Any], Int, Bool, String)] {
            assertRefused(words) {
                _ = try Artifact.choices(try read(name, changes), system: system, executorch: executorch)
            }
        }
        XCTAssertNoThrow(
            try Artifact.choices(try read("Core ML", ["minimum_target": "iOS18"]), system: 18, executorch: false))
        try write(try manifest("one size", ["artifact": "other.pte"]), "x/m.pte.json")
        try write("", "x/m.pte")
        assertRefused("belongs to other.pte") {
            _ = try Artifact.open(root.appendingPathComponent("x"), system: 18, executorch: true)
        }
    }

    private func read(_ name: String, _ changes: [String: Any] = [:]) throws -> Manifest {
        try Manifest.read(Data(try manifest(name, changes).utf8), name: name)
    }

    /// edge_scs/artifacts/manifest.py, artifact_sha256: sorted by path, part by part, not letter by letter.
    func testAPackageIsDigestedAsPythonDoes() throws {
        try write(try manifest("Core ML"), "b/m.mlpackage.json")
        for path in ["Manifest.json", "Data/x/weight.bin", "Data/x.y/model", "Data/x/.hidden"] {
            try write(path, "b/m.mlpackage/\(path)")
        }
        let artifact = try Artifact.open(root.appendingPathComponent("b"), system: 17, executorch: false)
        var stream = Data()
        try artifact.feed { stream += $0 }
        let order = ["Data/x/.hidden", "Data/x/weight.bin", "Data/x.y/model", "Manifest.json"]
        XCTAssertEqual(String(decoding: stream, as: UTF8.self), order.map { "\($0)\0\($0.utf8.count)\0\($0)" }.joined())
    }

    func testAFileIsItsContent() throws {
        try write(try manifest("one size"), "a/m.pte.json")
        try write("program", "a/m.pte")
        var stream = Data()
        try Artifact.open(root.appendingPathComponent("a"), system: 17, executorch: true).feed { stream += $0 }
        XCTAssertEqual(stream, Data("program".utf8))
    }
}
