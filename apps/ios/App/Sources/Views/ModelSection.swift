import EdgeSCSCore
import SwiftUI

/// Which model, which magnification, which compute units: the same on every screen.
struct ModelSection: View {
    @Environment(Library.self) private var library

    var body: some View {
        @Bindable var library = library
        Section {
            if library.artifacts.isEmpty {
                ContentUnavailableView(
                    "No models", systemImage: "shippingbox",
                    description: Text("Run `edge-scs apps prepare --ios` and build again."))
            } else {
                Picker("Model", selection: $library.artifact) {
                    ForEach(library.artifacts) { Text(library.title($0)).tag(Optional($0)) }
                }
                if let choice = library.choice, choice.magnification != nil {
                    magnification(choice, $library.magnification)
                } else {
                    Picker("Magnification", selection: $library.choice) {
                        ForEach(library.artifact?.choices ?? [], id: \.self) { choice in
                            Text("\(choice.scaleText), tiles of \(choice.lr.description)").tag(Optional(choice))
                        }
                    }
                }
                if library.setup?.isCoreML == true {
                    Picker("Core ML may use", selection: $library.units) {
                        ForEach(ComputeUnits.allCases) { Text($0.title).tag($0) }
                    }
                }
            }
        } footer: {
            VStack(alignment: .leading) {
                ForEach(library.refused, id: \.message) { Text($0.message) }
            }
        }
    }

    /// A continuous program does any; the slider speaks for itself, so its title and value are not read twice.
    @ViewBuilder private func magnification(_ choice: Choice, _ value: Binding<Double>) -> some View {
        LabeledContent("Magnification") { Text("\(choice.scaleText), any size") }
            .accessibilityHidden(true)
        Slider(value: value, in: Choice.magnifications, step: Choice.magnificationStep)
            .accessibilityLabel("Magnification")
            .accessibilityValue(Text("\(choice.scaleText), any size"))
    }
}
