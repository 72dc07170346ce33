import CoreGraphics
import EdgeSCSCore
import Foundation
import Observation
import UIKit

/// The enhance screen: a photograph in, the enlarged one out.
@MainActor @Observable
final class Studio {
    /// Sides to which photographs are reduced first: four times as much, squared, comes out.
    static let sides = [320, 640, 960]

    var side = 640 { didSet { reread() } }
    var keepColours = false { didSet { show(original) } }
    /// How strong the colours of the result are shown and shared: 0 (grey) to 1.5; 1 as the network gives them.
    var vividness = 1.0 { didSet { showSoon() } }
    private(set) var original: Picture?
    private(set) var reference: Picture?
    private(set) var result: Enlarged?
    private(set) var share: URL?
    private(set) var progress: Double?
    private(set) var message: String?
    /// What the screen shows of the original, the reference and the result.
    private(set) var before: CGImage?
    private(set) var guide: CGImage?
    private(set) var after: CGImage?

    private var photograph: Data?
    private var reading: Task<Void, Never>?
    private var task: Task<Void, Never>?
    private var showing: Task<Void, Never>?

    /// "640x427 to 2560x1708 in 1.90 s, of which 1.40 s model, 12 tiles"
    var summary: String? {
        guard let original, let result else { return nil }
        let sizes = "\(original.size) to \(result.picture.size)"
        let times = String(format: "%.2f s, of which %.2f s model", result.totalMs / 1000, result.inferenceMs / 1000)
        return "\(sizes) in \(times), \(result.tiles) \(result.tiles == 1 ? "tile" : "tiles")"
    }

    /// The photograph that comes with the app.
    func takeSample() {
        if let sample = NSDataAsset(name: "Sample") { take(photograph: sample.data) }
    }

    func take(photograph data: Data) {
        photograph = data
        reread()
    }

    func take(reference data: Data) {
        forget()
        Task {
            do {
                let made = try await read(data, side: 512)
                reference = made
                guide = PictureFile.image(made)
            } catch {
                refuse(error)
            }
        }
    }

    func refuse(_ error: Error) { message = error.localizedDescription }

    /// An older answer no longer belongs to what the screen says.
    func forget() {
        cancel()
        (result, after, share, message) = (nil, nil, nil, nil)
    }

    func cancel() {
        task?.cancel()
        task = nil
        progress = nil
    }

    func enhance(_ setup: Setup, with runner: Runner) {
        guard let original else { return }
        forget()
        progress = 0
        let guide = setup.choice.reference == nil ? nil : reference
        let keep = keepColours
        task = Task {
            do {
                let show: @Sendable (Double) -> Void = { part in
                    Task { @MainActor [weak self] in self?.advance(to: part) }
                }
                let made = try await runner.enlarge(
                    original, reference: guide, keepColours: keep, setup: setup, progress: show)
                if Task.isCancelled { return }
                result = made
                await showSoon().value
            } catch is CancellationError {
                return
            } catch {
                message = error.localizedDescription
            }
            progress = nil
        }
    }

    private func advance(to part: Double) {
        if let progress { self.progress = max(progress, part) }
    }

    private func reread() {
        forget()
        guard let photograph else { return }
        reading?.cancel()
        reading = Task {
            do {
                let made = try await read(photograph, side: side)
                if !Task.isCancelled { show(made) }
            } catch {
                show(nil)
                refuse(error)
            }
        }
    }

    private func show(_ picture: Picture?) {
        forget()
        original = picture
        before = picture.flatMap { PictureFile.image(keepColours ? $0 : $0.withoutColour) }
    }

    /// One after the other, since all write one file; while a slider moves, only the newest.
    @discardableResult private func showSoon() -> Task<Void, Never> {
        let before = showing
        before?.cancel()
        let next = Task {
            await before?.value
            if !Task.isCancelled { await showVivid() }
        }
        showing = next
        return next
    }

    /// The result with its vividness, on the screen and as the file to share.
    private func showVivid() async {
        guard let picture = result?.picture else { return }
        let strength = vividness
        do {
            let (image, url) = try await encode(picture, strength)
            if Task.isCancelled || strength != vividness || result?.picture != picture { return }
            (after, share) = (image, url)
        } catch {
            refuse(error)
        }
    }

    /// A PNG of some megapixels takes seconds: away from the screen.
    private nonisolated func encode(_ picture: Picture, _ vividness: Double) async throws -> (CGImage?, URL) {
        let vivid = picture.vivid(Float(vividness))
        return (PictureFile.image(vivid), try PictureFile.write(vivid, named: "edge-scs.png"))
    }

    /// Decoding and resizing take a moment: away from the screen.
    private nonisolated func read(_ data: Data, side: Int) async throws -> Picture {
        try PictureFile.photograph(data, side: side)
    }
}
