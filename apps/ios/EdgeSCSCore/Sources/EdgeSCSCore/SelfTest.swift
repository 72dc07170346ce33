/// An artifact's golden pair, run again on this device: how near the answer is to the network's own.
public struct SelfTest: Equatable, Sendable {
    public let method: String
    /// PSNR over RGB against the expected picture.
    public let db: Double
    public let neededDb: Double

    public var passed: Bool { db >= neededDb }

    /// Both pictures are rounded to 8 bits, which hides whatever the manifest asks beyond this.
    public static let visibleDb = 50.0

    /// `expected` is the network's answer to `input`. Throws `ArtifactError` as the engine does.
    public static func run(
        engine: Engine, artifact: Artifact, choice: Choice, input: Picture, reference: Picture?, expected: Picture
    ) throws -> SelfTest {
        let enlarger = Enlarger(engine: engine, choice: choice, halo: nil, name: artifact.id)
        if input.size != choice.lr || expected.size != choice.hr {
            throw ArtifactError("\(artifact.id): its golden pair is of another size; run edge-scs apps prepare again")
        }
        let db = Statistics.psnr(try enlarger.enlarge(input, reference: reference), expected)
        return SelfTest(method: choice.method, db: db, neededDb: min(artifact.manifest.minPsnrDb, visibleDb))
    }
}
