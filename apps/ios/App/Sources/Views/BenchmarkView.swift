import EdgeSCSCore
import SwiftUI

/// Load, first and median time of one model on this phone, and where Core ML runs its operations.
struct BenchmarkView: View {
    @Environment(Library.self) private var library
    @State private var laboratory = Laboratory()

    var body: some View {
        NavigationStack {
            Form {
                ModelSection()
                Section {
                    Picker("Runs", selection: $laboratory.runs) {
                        ForEach(Laboratory.runChoices, id: \.self) { Text("\($0)").tag($0) }
                    }
                    Toggle("Five minutes without a pause", isOn: $laboratory.sustained)
                    if let progress = laboratory.progress {
                        ProgressView(value: progress)
                        Button("Stop", role: .cancel) { laboratory.cancel() }
                    } else if let setup = library.setup {
                        Button("Measure", systemImage: "stopwatch") {
                            laboratory.measure(setup, with: library.runner)
                        }
                    }
                } footer: {
                    if let message = laboratory.message { Text(message).foregroundStyle(.red) }
                }
                if let measurement = laboratory.measurement { results(measurement) }
            }
            .navigationTitle("Benchmark")
            .toolbar {
                if let url = laboratory.share {
                    ShareLink(item: url)
                }
            }
        }
    }

    @ViewBuilder private func results(_ measurement: Measurement) -> some View {
        Section {
            ForEach(measurement.rows) { LabeledContent($0.name, value: $0.value) }
        } header: {
            Text("\(library.title(measurement.setup.artifact)) \(measurement.setup.choice.scaleText)")
        } footer: {
            if measurement.report.device.emulated {
                Text("Measured in a simulator or on a Mac: the report refuses to show it as a phone's time.")
            }
        }
        if let plan = measurement.plan {
            Section("Core ML's plan") {
                ForEach(plan.shares) { share in
                    VStack(alignment: .leading) {
                        Text(share.summary)
                        Text(share.operations.joined(separator: ", ")).font(.caption).foregroundStyle(.secondary)
                    }
                }
            }
        }
    }
}
