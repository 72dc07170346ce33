/// A picture that fills a view, magnified and moved by fingers; without a gap to the view's border.
public struct Zoom: Equatable, Sendable {
    /// 1: as large as the view.
    public private(set) var scale = 1.0
    /// Where the magnified picture's middle stands beside the view's, in the view's points.
    public private(set) var x = 0.0
    public private(set) var y = 0.0

    public static let most = 8.0

    public init() {}

    /// Magnify by `factor` around a point of the view, which stays where it is.
    public mutating func magnify(by factor: Double, x pointX: Double, y pointY: Double, width: Double, height: Double) {
        let before = scale
        scale = min(max(scale * factor, 1), Self.most)
        let (fromX, fromY) = (pointX - width / 2, pointY - height / 2)
        x = Self.within(fromX - (fromX - x) * scale / before, room: (scale - 1) * width / 2)
        y = Self.within(fromY - (fromY - y) * scale / before, room: (scale - 1) * height / 2)
    }

    /// Move by points of the view.
    public mutating func pan(x byX: Double, y byY: Double, width: Double, height: Double) {
        x = Self.within(x + byX, room: (scale - 1) * width / 2)
        y = Self.within(y + byY, room: (scale - 1) * height / 2)
    }

    private static func within(_ value: Double, room: Double) -> Double { min(max(value, -room), room) }
}
