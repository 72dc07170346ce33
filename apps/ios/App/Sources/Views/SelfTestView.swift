import EdgeSCSCore
import SwiftUI

/// The golden pair of every model, run on this phone: does it answer what the network answers?
struct SelfTestView: View {
    @Environment(Library.self) private var library
    @State private var laboratory = Laboratory()

    var body: some View {
        NavigationStack {
            List {
                Section {
                    if let progress = laboratory.progress {
                        ProgressView(value: progress)
                        Button("Stop", role: .cancel) { laboratory.cancel() }
                    } else {
                        Button("Check all models", systemImage: "checkmark.seal") { laboratory.checkAll(library) }
                            .disabled(library.artifacts.isEmpty)
                    }
                } footer: {
                    Text("Each model enlarges the picture of its golden pair: is its answer the network's?")
                }
                ForEach(laboratory.checks) { CheckRow(check: $0, title: library.title($0.setup.artifact)) }
                if let message = laboratory.message { Text(message).foregroundStyle(.secondary) }
            }
            .navigationTitle("Self-test")
        }
    }
}

private struct CheckRow: View {
    let check: Laboratory.Check
    let title: String

    var body: some View {
        HStack {
            VStack(alignment: .leading) {
                Text("\(title) \(check.setup.choice.scaleText)")
                switch check.outcome {
                case .success(let test):
                    Text("\(test.db, specifier: "%.1f") dB, \(test.neededDb, specifier: "%.0f") needed")
                        .foregroundStyle(.secondary)
                case .failure(let error):
                    Text(error.message).foregroundStyle(.red)
                }
            }
            Spacer()
            if case .success(let test) = check.outcome {
                Image(systemName: test.passed ? "checkmark.circle.fill" : "xmark.octagon.fill")
                    .foregroundStyle(test.passed ? .green : .red)
                    .accessibilityLabel(test.passed ? "passed" : "failed")
            }
        }
    }
}
