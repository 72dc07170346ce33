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
        let got: Picture
        if let facts = artifact.manifest.facts, let by = choice.magnification {
            got = try Continuous(engine: engine, facts: facts, name: artifact.id).enlarge(input, by: by)
        } else {
            let enlarger = Enlarger(engine: engine, choice: choice, halo: nil, name: artifact.id)
            try check(artifact, input.size == choice.lr)
            got = try enlarger.enlarge(input, reference: reference)
        }
        try check(artifact, got.size == expected.size)
        let db = Statistics.psnr(got, expected)
        return SelfTest(method: choice.method, db: db, neededDb: min(artifact.manifest.minPsnrDb, visibleDb))
    }

    private static func check(_ artifact: Artifact, _ fits: Bool) throws {
        if !fits {
            throw ArtifactError("\(artifact.id): its golden pair is of another size; run edge-scs apps prepare again")
        }
    }
}
