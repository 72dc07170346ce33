package org.edgescs.core

/** An artifact's golden pair, run again: how near the answer is to the network's own, over RGB, in dB. */
class SelfTest(private val engine: Engine, private val artifact: Artifact) {
    class Outcome(val method: String, val db: Double, val neededDb: Double) {
        val passed get() = db >= neededDb
    }

    /** [expected]: the network's answer to [input], in 8 bits. Throws [ArtifactException]. */
    fun run(choice: Choice, input: Picture, reference: Picture?, expected: Picture): Outcome {
        val (facts, by) = artifact.manifest.facts to choice.magnification
        val got = if (facts == null || by == null) {
            Enlarger(engine, choice, halo = 0, artifact.file.name).enlarge(input, reference)
        } else {
            Continuous(engine, facts, artifact.file.name).enlarge(input, by)
        }
        if (got.height != expected.height || got.width != expected.width) {
            val why = "the golden pair has another size"
            throw ArtifactException("${artifact.file.name}: $why; run edge-scs apps prepare")
        }
        return Outcome(choice.method, Statistics.psnr(got, expected), neededDb(artifact.manifest))
    }

    companion object {
        /** Two roundings to 8 bits: pictures cannot show more, whatever the manifest asks of floats. */
        const val VISIBLE_DB = 50.0

        fun neededDb(manifest: Manifest): Double = minOf(manifest.minPsnrDb, VISIBLE_DB)
    }
}
