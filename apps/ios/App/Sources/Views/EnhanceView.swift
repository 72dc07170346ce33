import EdgeSCSCore
import PhotosUI
import SwiftUI

/// Pick a photograph, see it coloured and enlarged, compare, share.
struct EnhanceView: View {
    @Environment(Library.self) private var library
    @State private var studio = Studio()
    @State private var photograph: PhotosPickerItem?
    @State private var reference: PhotosPickerItem?

    var body: some View {
        NavigationStack {
            VStack {
                picture
                form
            }
            .navigationTitle("Edge-SCS")
            .toolbar {
                if let url = studio.share {
                    ShareLink(item: url)
                }
            }
        }
        .onChange(of: photograph) { read(photograph) { studio.take(photograph: $0) } }
        .onChange(of: reference) { read(reference) { studio.take(reference: $0) } }
        .onChange(of: library.setup) { studio.forget() }
    }

    /// Above the form, not in it: a form takes drags for scrolling.
    @ViewBuilder private var picture: some View {
        if let before = studio.before {
            if let after = studio.after {
                CompareView(before: before, after: after).frame(maxHeight: 320).padding(.horizontal, 16)
            } else {
                Image(decorative: before, scale: 1)
                    .resizable()
                    .aspectRatio(contentMode: .fit)
                    .frame(maxHeight: 320)
            }
        }
    }

    private var form: some View {
        Form {
            pictureSection
            if library.choice?.reference != nil { referenceSection }
            ModelSection()
            Section {
                Picker("Longer side at most", selection: $studio.side) {
                    ForEach(Studio.sides, id: \.self) { Text("\($0) pixels").tag($0) }
                }
                Toggle("Keep its own colours", isOn: $studio.keepColours)
                LabeledContent("Vividness") { Slider(value: $studio.vividness, in: 0...1.5) }
            } footer: {
                Text("The photograph is made this small first. Automatic colours are plausible, not true.")
            }
        }
    }

    private var pictureSection: some View {
        Section {
            PhotosPicker(selection: $photograph, matching: .images) {
                Label(studio.original == nil ? "Choose a photograph" : "Choose another one", systemImage: "photo")
            }
            Button("Use the sample", systemImage: "person.crop.square") { studio.takeSample() }
            if let setup = library.setup, studio.original != nil {
                action(setup)
            }
        } footer: {
            VStack(alignment: .leading) {
                if let summary = studio.summary { Text(summary) }
                if let message = studio.message { Text(message).foregroundStyle(.red) }
            }
        }
    }

    @ViewBuilder private func action(_ setup: Setup) -> some View {
        if let progress = studio.progress {
            ProgressView(value: progress)
            Button("Stop", role: .cancel) { studio.cancel() }
        } else {
            Button {
                studio.enhance(setup, with: library.runner)
            } label: {
                Label("Enhance \(setup.choice.scaleText)", systemImage: "wand.and.stars")
            }
            .disabled(setup.choice.reference != nil && studio.reference == nil)
        }
    }

    private var referenceSection: some View {
        Section {
            if let guide = studio.guide {
                Image(decorative: guide, scale: 1)
                    .resizable()
                    .aspectRatio(contentMode: .fit)
                    .frame(maxHeight: 120)
            }
            PhotosPicker(selection: $reference, matching: .images) {
                Label("Choose the picture whose colours to use", systemImage: "paintpalette")
            }
        } header: {
            Text("Reference")
        }
    }

    private func read(_ item: PhotosPickerItem?, use: @escaping @MainActor (Data) -> Void) {
        guard let item else { return }
        Task {
            do {
                if let data = try await item.loadTransferable(type: Data.self) { use(data) }
            } catch {
                studio.refuse(error)
            }
        }
    }
}
