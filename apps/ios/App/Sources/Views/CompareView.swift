import EdgeSCSCore
import SwiftUI

/// Two pictures on one place and a line between them to drag: before on the left, after on the right. Two fingers
/// magnify; then a drag that begins beside the line moves what is seen.
struct CompareView: View {
    let before: CGImage
    let after: CGImage

    @State private var position = 0.5
    @State private var zoom = Zoom()
    /// What a gesture under way began with.
    @State private var pinched: Zoom?
    @State private var dragged: Zoom?
    @State private var moves = false

    var body: some View {
        Image(decorative: after, scale: 1)
            .resizable()
            .aspectRatio(contentMode: .fit)
            .overlay {
                GeometryReader { proxy in
                    ZStack(alignment: .leading) {
                        layer(after)
                        layer(before)
                            .mask(alignment: .leading) { Rectangle().frame(width: proxy.size.width * position) }
                        handle
                            .position(x: proxy.size.width * position, y: proxy.size.height / 2)
                    }
                    .contentShape(Rectangle())
                    .gesture(
                        DragGesture(minimumDistance: 4)
                            .onChanged { drag($0, in: proxy.size) }
                            .onEnded { _ in dragged = nil }
                    )
                    .simultaneousGesture(
                        MagnifyGesture()
                            .onChanged { pinch($0, in: proxy.size) }
                            .onEnded { _ in pinched = nil })
                }
            }
            .overlay(alignment: .topLeading) { caption("Before") }
            .overlay(alignment: .topTrailing) { caption("After") }
            .clipShape(RoundedRectangle(cornerRadius: 12))
            .accessibilityElement()
            .accessibilityLabel("Before and after")
            .accessibilityValue(Text(position, format: .percent.precision(.fractionLength(0))))
            .accessibilityAdjustableAction { direction in
                switch direction {
                case .increment: position = min(position + 0.1, 1)
                case .decrement: position = max(position - 0.1, 0)
                @unknown default: break
                }
            }
    }

    /// How near the line a finger takes hold of it, in points.
    private static let grip = 32.0

    private func layer(_ image: CGImage) -> some View {
        Image(decorative: image, scale: 1)
            .resizable()
            .interpolation(zoom.scale > 1 ? .none : .high)
            .scaleEffect(zoom.scale)
            .offset(x: zoom.x, y: zoom.y)
    }

    private func drag(_ drag: DragGesture.Value, in size: CGSize) {
        guard pinched == nil else {
            dragged = nil
            return
        }
        if dragged == nil {
            moves = zoom.scale > 1 && abs(drag.startLocation.x - size.width * position) > Self.grip
        }
        let began = dragged ?? zoom
        dragged = began
        if moves {
            var next = began
            next.pan(x: drag.translation.width, y: drag.translation.height, width: size.width, height: size.height)
            zoom = next
        } else {
            position = min(max(drag.location.x / size.width, 0), 1)
        }
    }

    private func pinch(_ pinch: MagnifyGesture.Value, in size: CGSize) {
        let began = pinched ?? zoom
        pinched = began
        var next = began
        next.magnify(
            by: pinch.magnification, x: pinch.startAnchor.x * size.width, y: pinch.startAnchor.y * size.height,
            width: size.width, height: size.height)
        zoom = next
    }

    private var handle: some View {
        ZStack {
            Rectangle().fill(.white).frame(width: 2)
            Image(systemName: "arrow.left.and.right.circle.fill")
                .font(.title)
                .foregroundStyle(.white, .black.opacity(0.5))
        }
        .shadow(radius: 2)
    }

    private func caption(_ text: LocalizedStringKey) -> some View {
        Text(text)
            .font(.caption2)
            .padding(.horizontal, 8)
            .padding(.vertical, 4)
            .background(.thinMaterial, in: Capsule())
            .padding(8)
            .allowsHitTesting(false)
    }
}
