import SwiftUI

/// Two pictures on one place and a line between them to drag: before on the left, after on the right.
struct CompareView: View {
    let before: CGImage
    let after: CGImage

    @State private var position = 0.5
    @State private var zoom = 1.0
    @State private var settled = 1.0
    @State private var anchor = UnitPoint.center

    var body: some View {
        Image(decorative: after, scale: 1)
            .resizable()
            .interpolation(zoom > 1 ? .none : .high)
            .aspectRatio(contentMode: .fit)
            .overlay {
                GeometryReader { proxy in
                    ZStack(alignment: .leading) {
                        Image(decorative: before, scale: 1)
                            .resizable()
                            .interpolation(zoom > 1 ? .none : .high)
                            .mask(alignment: .leading) { Rectangle().frame(width: proxy.size.width * position) }
                        handle
                            .position(x: proxy.size.width * position, y: proxy.size.height / 2)
                    }
                    .contentShape(Rectangle())
                    .gesture(
                        DragGesture(minimumDistance: 4).onChanged { drag in
                            position = min(max(drag.location.x / proxy.size.width, 0), 1)
                        }
                    )
                    .simultaneousGesture(
                        MagnifyGesture()
                            .onChanged { pinch in
                                if settled == 1 { anchor = pinch.startAnchor }
                                zoom = min(max(settled * pinch.magnification, 1), Self.maxZoom)
                            }
                            .onEnded { _ in settled = zoom })
                }
            }
            .scaleEffect(zoom, anchor: anchor)
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

    private static let maxZoom = 8.0

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
