// Signatures only, of iOS 17, and only those that the app uses. Modifiers take and return what Apple's do.
@_exported import CoreGraphics
@_exported import Observation

@MainActor @preconcurrency public protocol View {
    associatedtype Body: View
    @ViewBuilder @MainActor @preconcurrency var body: Body { get }
}

extension Never: View { public var body: Never { fatalError() } }

extension Optional: View where Wrapped: View { public var body: Never { fatalError() } }

public struct Nothing: View { public var body: Never { fatalError() } }

public struct Either<A: View, B: View>: View { public var body: Never { fatalError() } }

@resultBuilder public enum ViewBuilder {
    public static func buildExpression<Content: View>(_ content: Content) -> Content { content }
    public static func buildBlock() -> Nothing { Nothing() }
    public static func buildBlock<each Content: View>(_ content: repeat each Content) -> Nothing { Nothing() }
    public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
    public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
    public static func buildEither<A: View, B: View>(first: A) -> Either<A, B> { Either() }
    public static func buildEither<A: View, B: View>(second: B) -> Either<A, B> { Either() }
}

@MainActor @preconcurrency public protocol App {
    associatedtype Body: Scene
    @MainActor @preconcurrency var body: Body { get }
    @MainActor @preconcurrency init()
}

extension App { public static func main() { fatalError() } }

@MainActor @preconcurrency public protocol Scene {}

public struct WindowGroup: Scene {
    public init<Content: View>(@ViewBuilder content: () -> Content) { fatalError() }
}

@propertyWrapper public struct State<Value> {
    public init(wrappedValue: Value) { fatalError() }
    public init() where Value: ExpressibleByNilLiteral { fatalError() }
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set { fatalError() }
    }
    public var projectedValue: Binding<Value> { fatalError() }
}

@dynamicMemberLookup public struct Binding<Value> {
    public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) { fatalError() }
    public var wrappedValue: Value {
        get { fatalError() }
        nonmutating set { fatalError() }
    }
    public var projectedValue: Binding<Value> { fatalError() }
    public subscript<Subject>(dynamicMember keyPath: WritableKeyPath<Value, Subject>) -> Binding<Subject> {
        fatalError()
    }
}

@propertyWrapper @dynamicMemberLookup public struct Bindable<Value> {
    public init(wrappedValue: Value) where Value: AnyObject & Observable { fatalError() }
    public var wrappedValue: Value {
        get { fatalError() }
        set { fatalError() }
    }
    public var projectedValue: Bindable<Value> { fatalError() }
    public subscript<Subject>(
        dynamicMember keyPath: ReferenceWritableKeyPath<Value, Subject>
    ) -> Binding<Subject> where Value: AnyObject { fatalError() }
}

@propertyWrapper public struct Environment<Value> {
    public init(_ type: Value.Type) where Value: AnyObject & Observable { fatalError() }
    public var wrappedValue: Value { fatalError() }
}

public struct LocalizedStringKey: ExpressibleByStringInterpolation {
    public init(stringLiteral value: String) { fatalError() }
    public init(stringInterpolation: Interpolation) { fatalError() }
    public struct Interpolation: StringInterpolationProtocol {
        public init(literalCapacity: Int, interpolationCount: Int) { fatalError() }
        public mutating func appendLiteral(_ literal: String) { fatalError() }
        public mutating func appendInterpolation(_ text: String) { fatalError() }
        public mutating func appendInterpolation(_ number: Int) { fatalError() }
        public mutating func appendInterpolation(_ number: Double, specifier: String) { fatalError() }
    }
}

public struct Text: View {
    public var body: Never { fatalError() }
    public init(_ key: LocalizedStringKey) { fatalError() }
    @_disfavoredOverload public init<S: StringProtocol>(_ content: S) { fatalError() }
    public init<F: FormatStyle>(_ input: F.FormatInput, format: F)
    where F.FormatInput: Equatable, F.FormatOutput == String { fatalError() }
}

public struct Image: View {
    public enum Interpolation { case none, low, medium, high }
    public var body: Never { fatalError() }
    public init(systemName: String) { fatalError() }
    public init(decorative image: CGImage, scale: CGFloat) { fatalError() }
    public func resizable() -> Image { fatalError() }
    public func interpolation(_ interpolation: Interpolation) -> Image { fatalError() }
}

public struct Label: View {
    public var body: Never { fatalError() }
    public init(_ title: LocalizedStringKey, systemImage: String) { fatalError() }
}

public struct ButtonRole { public static var cancel: ButtonRole { fatalError() } }

public struct Button: View {
    public var body: Never { fatalError() }
    public init(_ title: LocalizedStringKey, role: ButtonRole?, action: @escaping @MainActor () -> Void) {
        fatalError()
    }
    public init(_ title: LocalizedStringKey, systemImage: String, action: @escaping @MainActor () -> Void) {
        fatalError()
    }
    public init<Content: View>(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Content) {
        fatalError()
    }
}

public struct Picker: View {
    public var body: Never { fatalError() }
    public init<Selection: Hashable, Content: View>(
        _ title: LocalizedStringKey, selection: Binding<Selection>, @ViewBuilder content: () -> Content
    ) { fatalError() }
}

public struct Toggle: View {
    public var body: Never { fatalError() }
    public init(_ title: LocalizedStringKey, isOn: Binding<Bool>) { fatalError() }
}

public struct Slider: View {
    public var body: Never { fatalError() }
    public init(value: Binding<Double>, in bounds: ClosedRange<Double>) { fatalError() }
    public init(value: Binding<Double>, in bounds: ClosedRange<Double>, step: Double) { fatalError() }
}

public struct ProgressView: View {
    public var body: Never { fatalError() }
    public init(value: Double?) { fatalError() }
}

public struct LabeledContent: View {
    public var body: Never { fatalError() }
    @_disfavoredOverload public init<S1: StringProtocol, S2: StringProtocol>(_ title: S1, value: S2) { fatalError() }
    public init<C: View>(_ title: LocalizedStringKey, @ViewBuilder content: () -> C) { fatalError() }
}

public struct ContentUnavailableView: View {
    public var body: Never { fatalError() }
    public init(_ title: LocalizedStringKey, systemImage: String, description: Text?) { fatalError() }
}

public struct ShareLink: View {
    public var body: Never { fatalError() }
    public init(item: URL) { fatalError() }
}

public struct ForEach: View {
    public var body: Never { fatalError() }
    public init<Data: RandomAccessCollection, Content: View>(
        _ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content
    ) where Data.Element: Identifiable { fatalError() }
    public init<Data: RandomAccessCollection, ID: Hashable, Content: View>(
        _ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content
    ) { fatalError() }
}

public struct Section: View {
    public var body: Never { fatalError() }
    public init<C: View>(@ViewBuilder content: () -> C) { fatalError() }
    public init<C: View>(_ title: LocalizedStringKey, @ViewBuilder content: () -> C) { fatalError() }
    public init<C: View, F: View>(@ViewBuilder content: () -> C, @ViewBuilder footer: () -> F) { fatalError() }
    public init<C: View, H: View>(@ViewBuilder content: () -> C, @ViewBuilder header: () -> H) { fatalError() }
    public init<C: View, H: View, F: View>(
        @ViewBuilder content: () -> C, @ViewBuilder header: () -> H, @ViewBuilder footer: () -> F
    ) { fatalError() }
}

public enum HorizontalAlignment { case leading, center, trailing }

public struct Form: View {
    public var body: Never { fatalError() }
    public init<C: View>(@ViewBuilder content: () -> C) { fatalError() }
}
public struct List: View {
    public var body: Never { fatalError() }
    public init<C: View>(@ViewBuilder content: () -> C) { fatalError() }
}
public struct NavigationStack: View {
    public var body: Never { fatalError() }
    public init<C: View>(@ViewBuilder root: () -> C) { fatalError() }
}
public struct TabView: View {
    public var body: Never { fatalError() }
    public init<C: View>(@ViewBuilder content: () -> C) { fatalError() }
}
public struct VStack: View {
    public var body: Never { fatalError() }
    public init<C: View>(alignment: HorizontalAlignment = .center, @ViewBuilder content: () -> C) { fatalError() }
}
public struct HStack: View {
    public var body: Never { fatalError() }
    public init<C: View>(@ViewBuilder content: () -> C) { fatalError() }
}
public struct ZStack: View {
    public var body: Never { fatalError() }
    public init<C: View>(alignment: Alignment = .center, @ViewBuilder content: () -> C) { fatalError() }
}
public struct Spacer: View {
    public var body: Never { fatalError() }
    public init() { fatalError() }
}
public struct GeometryProxy { public var size: CGSize { fatalError() } }
public struct GeometryReader: View {
    public var body: Never { fatalError() }
    public init<C: View>(@ViewBuilder content: @escaping (GeometryProxy) -> C) { fatalError() }
}
