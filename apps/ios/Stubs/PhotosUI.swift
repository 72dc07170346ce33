// Signatures only.
@_exported import SwiftUI

public struct PHPickerFilter { public static var images: PHPickerFilter { fatalError() } }

public protocol Transferable {}
extension Data: Transferable {}

public struct PhotosPickerItem: Hashable, Sendable {
    public func loadTransferable<T: Transferable>(type: T.Type) async throws -> T? { fatalError() }
}

public struct PhotosPicker: View {
    public var body: Never { fatalError() }
    public init<Content: View>(
        selection: Binding<PhotosPickerItem?>, matching filter: PHPickerFilter?, @ViewBuilder label: () -> Content
    ) { fatalError() }
}
