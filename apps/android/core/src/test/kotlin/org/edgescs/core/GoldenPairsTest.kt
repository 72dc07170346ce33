package org.edgescs.core

import java.io.File
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeNotNull
import org.junit.Test

/**
 * The app's self-test, by ExecuTorch on this machine: `-Dedgescs.models=FOLDER` holds <name>/ as `edge-scs apps
 * prepare` lays them, `-Dedgescs.runner=FOLDER` the built runner. Skipped without them.
 */
class GoldenPairsTest {
    @Test
    fun goldenPairsPass() {
        assumeNotNull(System.getProperty("edgescs.models"), System.getProperty("edgescs.runner"))
        val found = Artifact.all(File(System.getProperty("edgescs.models"))) { throw it }
        assertTrue("no models", found.isNotEmpty())
        for (artifact in found) {
            RunnerEngine(File(System.getProperty("edgescs.runner")), artifact.file).use { engine ->
                artifact.choices.filter { artifact.golden(it) != null }.forEach { test(artifact, engine, it) }
            }
        }
    }

    private fun test(artifact: Artifact, engine: Engine, choice: Choice) {
        val golden = artifact.golden(choice)!!
        val reference = File(golden, "reference.png").takeIf { it.isFile }?.let(::readPng)
        val (input, expected) = listOf("input.png", "expected.png").map { readPng(File(golden, it)) }
        val outcome = SelfTest(engine, artifact).run(choice, input, reference, expected)
        val said = "%.1f dB, %.1f needed".format(outcome.db, outcome.neededDb)
        println("golden: ${artifact.file.name} ${choice.method} $said")
        assertTrue("${outcome.db} dB", outcome.passed)
        val wrong = Picture(expected.height, expected.width, expected.argb.reversedArray())
        assertFalse(SelfTest(engine, artifact).run(choice, input, reference, wrong).passed)
    }
}
