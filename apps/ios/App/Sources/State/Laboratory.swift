import EdgeSCSCore
import Foundation
import Observation
import UIKit

/// The self-test and benchmark screens.
@MainActor @Observable
final class Laboratory {
    /// One artifact's choice, and what came of its golden pair.
    struct Check: Identifiable {
        let setup: Setup
        let outcome: Result<SelfTest, ArtifactError>

        var id: String { setup.artifact.id + setup.choice.method }
    }

    private(set) var checks: [Check] = []
    private(set) var measurement: Measurement?
    private(set) var share: URL?
    private(set) var progress: Double?
    private(set) var message: String?
    var runs = 50
    /// Five minutes of one inference after the other, when the timed runs are done.
    var sustained = false

    static let runChoices = [10, 50, 200]

    private var task: Task<Void, Never>?

    var isBusy: Bool { progress != nil }

    /// Every model's golden pairs, on the chosen compute units.
    func checkAll(_ library: Library) {
        let setups = library.artifacts.flatMap { artifact in
            artifact.tested.map { Setup(artifact: artifact, choice: $0, units: library.units) }
        }
        checks = []
        start {
            for (done, setup) in setups.enumerated() {
                try Task.checkCancellation()
                let outcome: Result<SelfTest, ArtifactError>
                do {
                    outcome = .success(try await library.runner.selfTest(setup))
                } catch {
                    outcome = .failure(ArtifactError(error.localizedDescription))
                }
                self.checks.append(Check(setup: setup, outcome: outcome))
                self.progress = Double(done + 1) / Double(setups.count)
            }
        }
    }

    func measure(_ setup: Setup, with runner: Runner) {
        measurement = nil
        share = nil
        let plan = TimingPlan(warmup: 10, runs: runs, sustainedMinutes: sustained ? 5 : 0)
        let device = DeviceInfo.current
        start {
            // A screen that goes dark slows the phone down.
            UIApplication.shared.isIdleTimerDisabled = true
            defer { UIApplication.shared.isIdleTimerDisabled = false }
            let made = try await runner.measure(setup, plan: plan, device: device) { part in
                Task { @MainActor [weak self] in self?.advance(to: part) }
            }
            self.measurement = made
            let url = FileManager.default.temporaryDirectory.appendingPathComponent("latency.json")
            try made.report.json().write(to: url, options: .atomic)
            self.share = url
        }
    }

    func cancel() { task?.cancel() }

    private func advance(to part: Double) {
        if let progress { self.progress = max(progress, part) }
    }

    private func start(_ work: @escaping @MainActor () async throws -> Void) {
        message = nil
        progress = 0
        task = Task {
            do {
                try await work()
            } catch is CancellationError {
                message = "Stopped."
            } catch {
                message = error.localizedDescription
            }
            progress = nil
        }
    }
}

extension Measurement {
    /// One line of the benchmark screen.
    struct Row: Identifiable {
        let name: String
        let value: String

        var id: String { name }
    }

    var rows: [Row] {
        let statistics = report.timings.statistics
        let loading: [(String, Double?)] = [
            ("Compile", times.compileMs), ("Load, cold", times.coldMs), ("Load, cached", times.cachedMs),
        ]
        let running: [(String, Double?)] = [
            ("First after loading", report.timings.firstMs), ("Median", statistics.medianMs),
            ("90th percentile", statistics.p90Ms), ("Minimum", statistics.minMs),
            ("With packing and unpacking", report.timings.pipelineMs),
        ]
        let minutes = (report.conditions.sustained?.minutes ?? []).enumerated().compactMap { number, minute in
            minute.p50Ms.map { Row(name: "Minute \(number + 1), median", value: Self.text($0)) }
        }
        let timed = (loading + running).compactMap { name, ms in ms.map { Row(name: name, value: Self.text($0)) } }
        let heat = Row(name: "Thermal state", value: "\(report.thermalBefore) → \(report.thermalAfter)")
        let devices = report.backends.isEmpty ? "not told" : report.backends.joined(separator: ", ")
        let memory = report.conditions.memory.map {
            Row(name: "Memory, before and peak", value: String(format: "%.0f → %.0f MB", $0.beforeMb, $0.peakMb))
        }
        return timed + minutes + [heat, memory, Row(name: "Runs on", value: devices)].compactMap { $0 }
    }

    private static func text(_ ms: Double) -> String { String(format: ms < 100 ? "%.2f ms" : "%.0f ms", ms) }
}

extension ComputePlan.Share {
    /// "Neural Engine: 57 operations, 98 % of the expected cost"
    var summary: String {
        "\(device): \(count) operations, \(String(format: "%.0f", 100 * cost)) % of the expected cost"
    }
}
