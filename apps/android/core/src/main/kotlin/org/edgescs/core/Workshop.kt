package org.edgescs.core

/** A coloured picture, and what it took: [inferenceMs] in the network, [totalMs] from pixels to pixels. */
class Answer(
    val picture: Picture,
    val tiles: Int,
    val inferenceMs: Double,
    val totalMs: Double,
    val backends: List<String>,
)

/**
 * Opens artifacts and keeps the last one open: what both the main screen and the self-test work with. All calls come
 * from one thread.
 */
class Workshop(private val engines: EngineFactory, private val nanos: () -> Long = System::nanoTime) : AutoCloseable {
    private class Opened(val artifact: Artifact, val threads: Int?, val engine: Engine)

    private var current: Opened? = null

    /** The engine of an artifact; opened anew when artifact or threads are others than before. */
    fun engine(artifact: Artifact, threads: Int?): Engine {
        current?.let { if (it.artifact === artifact && it.threads == threads) return it.engine }
        close()
        return engines.open(artifact, threads).also { current = Opened(artifact, threads, it) }
    }

    /** Colour and enlarge. Throws [ArtifactException], and what [progress] throws. */
    fun colour(
        artifact: Artifact, choice: Choice, threads: Int?, picture: Picture, reference: Picture?,
        keepColours: Boolean = false, progress: (Int, Int) -> Unit = { _, _ -> },
    ): Answer {
        val timed = Timed(engine(artifact, threads))
        val halo = artifact.manifest.halo ?: DEFAULT_HALO
        val start = nanos()
        val result = enlarge(timed, artifact, choice, halo, picture, reference, keepColours, progress)
        val total = Stopwatch.milliseconds(nanos() - start)
        return Answer(result, timed.runs, Stopwatch.milliseconds(timed.nanos), total, timed.backends(choice.method))
    }

    private fun enlarge(
        engine: Engine, artifact: Artifact, choice: Choice, halo: Int, picture: Picture, reference: Picture?,
        keepColours: Boolean, progress: (Int, Int) -> Unit,
    ): Picture {
        val facts = artifact.manifest.facts
        val by = choice.magnification
        if (facts == null || by == null) {
            return Enlarger(engine, choice, halo, artifact.file.name).enlarge(picture, reference, keepColours, progress)
        }
        val large = Continuous(engine, facts, artifact.file.name).enlarge(picture, by, progress)
        if (!keepColours) return large
        return Pixels.withChroma(large, Shrinking.resize(picture, large.height, large.width))
    }

    override fun close() {
        current?.engine?.close()
        current = null
    }

    private inner class Timed(private val engine: Engine) : Engine by engine {
        var runs = 0
        var nanos = 0L

        override fun run(method: String, inputs: List<Tensor>): Tensor = timed { engine.run(method, inputs) }

        override fun runAll(method: String, inputs: List<Tensor>): List<Tensor> =
            timed { engine.runAll(method, inputs) }

        private fun <T> timed(run: () -> T): T {
            val start = this@Workshop.nanos()
            return run().also {
                nanos += this@Workshop.nanos() - start
                runs++
            }
        }
    }

    companion object {
        /** Small pictures are what this is for: longer sides are shrunk to this first. */
        const val MAX_SIDE = 640

        /** What a network is given to see of a photograph. */
        fun withoutColours(picture: Picture): Picture = Pixels.grey(picture)

        /** The picture with its colours quieter or stronger: 0 (grey) to 1.5; 1 changes nothing. */
        fun vivid(picture: Picture, vividness: Float): Picture = Pixels.vivid(picture, vividness)

        /** For manifests that do not tell: edge_scs_m's. */
        const val DEFAULT_HALO = 22

        /** Thread counts to offer on a machine of [cores]: the runtime's own choice (null), then powers of two. */
        fun threadChoices(cores: Int): List<Int?> =
            listOf(null) + generateSequence(1) { it * 2 }.takeWhile { it <= maxOf(1, cores) }
    }
}
