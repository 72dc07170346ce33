// Signatures only: styles, shapes, gestures, and what views are asked for.
@_exported import CoreGraphics
import Observation

public protocol ShapeStyle {}
public struct Color: View, ShapeStyle {
    public var body: Never { fatalError() }
    public func opacity(_ opacity: Double) -> Color { fatalError() }
}
public struct Material: ShapeStyle {}
public struct HierarchicalShapeStyle: ShapeStyle {}
extension ShapeStyle where Self == Color {
    public static var white: Color { fatalError() }
    public static var black: Color { fatalError() }
    public static var red: Color { fatalError() }
    public static var green: Color { fatalError() }
}
extension ShapeStyle where Self == Material { public static var thinMaterial: Material { fatalError() } }
extension ShapeStyle where Self == HierarchicalShapeStyle {
    public static var secondary: HierarchicalShapeStyle { fatalError() }
}

public protocol Shape: View {}
extension Shape { public func fill<S: ShapeStyle>(_ style: S) -> some View { Nothing() } }
public struct Rectangle: Shape {
    public var body: Never { fatalError() }
    public init() { fatalError() }
}
public struct Capsule: Shape {
    public var body: Never { fatalError() }
    public init() { fatalError() }
}
public struct RoundedRectangle: Shape {
    public var body: Never { fatalError() }
    public init(cornerRadius: CGFloat) { fatalError() }
}

public struct Alignment {
    public static var center: Alignment { fatalError() }
    public static var leading: Alignment { fatalError() }
    public static var topLeading: Alignment { fatalError() }
    public static var topTrailing: Alignment { fatalError() }
}
public enum ContentMode { case fit, fill }
public struct EdgeInsets { public init() { fatalError() } }
public struct Edge {
    public struct Set {
        public static var horizontal: Set { fatalError() }
        public static var vertical: Set { fatalError() }
    }
}
public struct Font {
    public static var title: Font { fatalError() }
    public static var caption: Font { fatalError() }
    public static var caption2: Font { fatalError() }
}
public enum AccessibilityAdjustmentDirection { case increment, decrement }

public protocol Gesture {}
public struct DragGesture: Gesture {
    public struct Value {
        public let startLocation, location: CGPoint
        public let translation: CGSize
    }
    public init(minimumDistance: CGFloat) { fatalError() }
    public func onChanged(_ action: @escaping @MainActor (Value) -> Void) -> DragGesture { self }
    public func onEnded(_ action: @escaping @MainActor (Value) -> Void) -> DragGesture { self }
}
public struct UnitPoint {
    public static var center: UnitPoint { fatalError() }
    public var x, y: CGFloat
}
public struct MagnifyGesture: Gesture {
    public struct Value {
        public let magnification: CGFloat
        public let startAnchor: UnitPoint
    }
    public init() { fatalError() }
    public func onChanged(_ action: @escaping @MainActor (Value) -> Void) -> MagnifyGesture { self }
    public func onEnded(_ action: @escaping @MainActor (Value) -> Void) -> MagnifyGesture { self }
}

extension View {
    public func aspectRatio(contentMode: ContentMode) -> some View { self }
    public func overlay<V: View>(alignment: Alignment = .center, @ViewBuilder content: () -> V) -> some View { self }
    public func mask<V: View>(alignment: Alignment = .center, @ViewBuilder _ mask: () -> V) -> some View { self }
    public func frame(width: CGFloat? = nil, height: CGFloat? = nil) -> some View { self }
    public func frame(maxHeight: CGFloat?) -> some View { self }
    public func position(x: CGFloat, y: CGFloat) -> some View { self }
    public func contentShape<S: Shape>(_ shape: S) -> some View { self }
    public func clipShape<S: Shape>(_ shape: S) -> some View { self }
    public func gesture<G: Gesture>(_ gesture: G) -> some View { self }
    public func simultaneousGesture<G: Gesture>(_ gesture: G) -> some View { self }
    public func offset(x: CGFloat = 0, y: CGFloat = 0) -> some View { self }
    public func scaleEffect(_ s: CGFloat, anchor: UnitPoint = .center) -> some View { self }
    public func accessibilityHidden(_ hidden: Bool) -> some View { self }
    public func accessibilityElement() -> some View { self }
    public func accessibilityLabel(_ key: LocalizedStringKey) -> some View { self }
    @_disfavoredOverload public func accessibilityLabel<S: StringProtocol>(_ text: S) -> some View { self }
    public func accessibilityValue(_ value: Text) -> some View { self }
    public func accessibilityAdjustableAction(
        _ handler: @escaping @MainActor (AccessibilityAdjustmentDirection) -> Void
    ) -> some View { self }
    public func font(_ font: Font?) -> some View { self }
    public func foregroundStyle<S: ShapeStyle>(_ style: S) -> some View { self }
    public func foregroundStyle<S1: ShapeStyle, S2: ShapeStyle>(_ first: S1, _ second: S2) -> some View { self }
    public func shadow(radius: CGFloat) -> some View { self }
    public func padding(_ length: CGFloat) -> some View { self }
    public func padding(_ edges: Edge.Set, _ length: CGFloat) -> some View { self }
    public func background<S: ShapeStyle, T: Shape>(_ style: S, in shape: T) -> some View { self }
    public func allowsHitTesting(_ enabled: Bool) -> some View { self }
    public func tabItem<V: View>(@ViewBuilder _ label: () -> V) -> some View { self }
    public func tag<V: Hashable>(_ tag: V) -> some View { self }
    public func environment<T: AnyObject & Observable>(_ object: T?) -> some View { self }
    public func navigationTitle(_ title: LocalizedStringKey) -> some View { self }
    public func toolbar<V: View>(@ViewBuilder content: () -> V) -> some View { self }
    public func disabled(_ disabled: Bool) -> some View { self }
    public func listRowInsets(_ insets: EdgeInsets?) -> some View { self }
    public func onChange<V: Equatable>(of value: V, _ action: @escaping @MainActor () -> Void) -> some View { self }
}
