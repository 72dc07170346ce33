// Signatures only.
public struct UTType: Sendable {
    public static var png: UTType { fatalError() }
    public var identifier: String { fatalError() }
}
