import EdgeSCSCore
import Foundation
import Observation

/// The models in the app, and the one that all screens use.
@MainActor @Observable
final class Library {
    let artifacts: [Artifact]
    let refused: [ArtifactError]
    let runner = Runner()
    var setup: Setup?

    init(folder: URL? = Bundle.main.url(forResource: "Models", withExtension: nil)) {
        let found = folder.map {
            Artifact.all(in: $0, system: DeviceInfo.systemMajor, executorch: ExecuTorchEngine.isLinked)
        }
        artifacts = found?.usable ?? []
        CoreMLEngine.purge(keeping: Set(artifacts.map(\.manifest.sha256)))
        refused = found?.refused ?? []
        let first = artifacts.first { $0.manifest.preset == "coreml-image" } ?? artifacts.first
        setup = first.flatMap { artifact in
            artifact.choices.first.map { Setup(artifact: artifact, choice: $0, units: .all) }
        }
    }

    var artifact: Artifact? {
        get { setup?.artifact }
        set {
            guard let newValue, let choice = newValue.choices.first else { return }
            setup = Setup(artifact: newValue, choice: choice, units: setup?.units ?? .all)
        }
    }

    var choice: Choice? {
        get { setup?.choice }
        set { if let newValue { setup?.choice = newValue } }
    }

    /// Of a continuous program: any of `Choice.magnifications`.
    var magnification: Double {
        get { choice?.magnification ?? Choice.magnifications.lowerBound }
        set {
            guard let facts = artifact?.manifest.facts else { return }
            setup?.choice = .continuous(facts, by: newValue)
        }
    }

    var units: ComputeUnits {
        get { setup?.units ?? .all }
        set { setup?.units = newValue }
    }

    /// "coreml-fp16", with a word for what else tells two models apart.
    func title(_ artifact: Artifact) -> String {
        let led = artifact.choices.contains { $0.reference != nil }
        let restores = artifact.manifest.restoration > 0
        return artifact.manifest.preset + (led ? ", with reference" : "") + (restores ? ", restoring" : "")
    }
}
