import XCTest

@testable import EdgeSCSCore

final class ZoomTests: XCTestCase {
    /// Where a place of the picture (0 to 1 along each axis) stands in a view of 300 x 200.
    private func place(_ zoom: Zoom, _ u: Double, _ v: Double) -> [Double] {
        [150 + zoom.x + (u - 0.5) * 300 * zoom.scale, 100 + zoom.y + (v - 0.5) * 200 * zoom.scale]
    }

    func testWhatIsUnderTheFingersStaysThere() {
        var zoom = Zoom()
        zoom.magnify(by: 2, x: 75, y: 150, width: 300, height: 200)
        XCTAssertEqual(place(zoom, 0.25, 0.75), [75, 150])
        let before = [(210 - place(zoom, 0, 0)[0]) / 600, (60 - place(zoom, 0, 0)[1]) / 400]
        zoom.magnify(by: 1.5, x: 210, y: 60, width: 300, height: 200)
        XCTAssertEqual(zoom.scale, 3)
        let after = place(zoom, before[0], before[1])
        XCTAssertEqual(after[0], 210, accuracy: 1e-9)
        XCTAssertEqual(after[1], 60, accuracy: 1e-9)
    }

    func testThePictureCoversTheView() {
        var zoom = Zoom()
        zoom.pan(x: 50, y: 50, width: 300, height: 200)
        XCTAssertEqual(zoom, Zoom())  // nothing to move before it is magnified
        zoom.magnify(by: 2, x: 150, y: 100, width: 300, height: 200)
        zoom.pan(x: 1000, y: -1000, width: 300, height: 200)
        XCTAssertEqual(place(zoom, 0, 1), [0, 200])
        zoom.magnify(by: 0.01, x: 0, y: 0, width: 300, height: 200)
        XCTAssertEqual(zoom, Zoom())
        zoom.magnify(by: 1000, x: 10, y: 10, width: 300, height: 200)
        XCTAssertEqual(zoom.scale, Zoom.most)
    }
}
