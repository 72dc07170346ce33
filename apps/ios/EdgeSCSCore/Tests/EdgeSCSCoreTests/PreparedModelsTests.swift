import Foundation
import XCTest

@testable import EdgeSCSCore

/// The models that `edge-scs apps prepare --ios` made, where `EDGE_SCS_MODELS` names their folder.
final class PreparedModelsTests: XCTestCase {
    /// Leaves what a digest is of beside each artifact, for the test that compares it with the manifest's sha256.
    func testEveryModelIsReadAndHasItsGoldenPairs() throws {
        guard let place = ProcessInfo.processInfo.environment["EDGE_SCS_MODELS"] else {
            throw XCTSkip("EDGE_SCS_MODELS is not set")
        }
        let (usable, refused) = Artifact.all(in: URL(fileURLWithPath: place), system: 18, executorch: true)
        XCTAssertEqual(refused, [])
        for artifact in usable {
            for choice in artifact.choices {
                XCTAssertNotNil(artifact.golden(choice), "\(artifact.id) \(choice.method)")
            }
            var stream = Data()
            try artifact.feed { stream += $0 }
            try stream.write(to: URL(fileURLWithPath: artifact.url.path + ".stream"))
        }
    }
}
