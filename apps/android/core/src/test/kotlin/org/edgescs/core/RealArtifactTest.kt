package org.edgescs.core

import java.io.File
import java.util.Date
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeNotNull
import org.junit.Before
import org.junit.Test

/**
 * Exported artifacts, run by ExecuTorch, driven by this core: the pictures that Python's driver makes of them.
 *
 * `-Dedgescs.real=FOLDER` holds models/<name>/ as `edge-scs apps prepare` lays them, beside each name `<name>.in.png`,
 * `<name>.out.png` (Python's) and perhaps `<name>.ref.png`; `-Dedgescs.runner=FOLDER` the built runner. apps/test.py
 * makes both; without them these tests are skipped.
 */
class RealArtifactTest {
    private lateinit var folder: File
    private lateinit var runner: File
    private val engines = ArrayList<Engine>()

    @Before
    fun find() {
        assumeNotNull(System.getProperty("edgescs.real"), System.getProperty("edgescs.runner"))
        folder = File(System.getProperty("edgescs.real"))
        runner = File(System.getProperty("edgescs.runner"))
    }

    @After
    fun close() = engines.forEach(Engine::close)

    private fun open(artifact: Artifact): Engine = RunnerEngine(runner, artifact.file).also(engines::add)

    private fun artifacts(): List<Artifact> {
        val found = Artifact.all(File(folder, "models")) { throw it }
        assertTrue("no models in $folder", found.isNotEmpty())
        return found
    }

    @Test
    fun picturesAreThoseOfPython() {
        for (artifact in artifacts().filterNot { it.manifest.continuous }) {
            val name = artifact.file.parentFile!!.name
            val reference = File(folder, "$name.ref.png").takeIf { it.isFile }?.let(::readPng)
            val enlarger = Enlarger(open(artifact), artifact.choices[0], artifact.manifest.halo!!, artifact.file.name)
            val tiles = ArrayList<Int>()
            val got = enlarger.enlarge(readPng(File(folder, "$name.in.png")), reference) { done, _ -> tiles += done }
            val db = Statistics.psnr(got, readPng(File(folder, "$name.out.png")))
            println("$name: ${tiles.size} tiles, %.1f dB against Python's picture".format(db))
            assertTrue("$name: $db dB", db >= 60)
            assertEquals((1..tiles.size).toList(), tiles)
            assertTrue("$name must need tiles", tiles.size > 1)
        }
    }

    /** Chunks, a whole magnification, several tiles: at least 80 dB, so that next to no pixel differs at all. */
    @Test
    fun continuousPicturesAreThoseOfPython() {
        for (artifact in artifacts().filter { it.manifest.continuous }) {
            val name = artifact.file.parentFile!!.name
            val driver = Continuous(open(artifact), artifact.manifest.facts!!, artifact.file.name)
            for (expected in folder.listFiles().orEmpty().filter { it.name.startsWith("$name.x") }) {
                val by = expected.name.removePrefix("$name.x").removeSuffix(".png").toDouble()
                val got = driver.enlarge(readPng(File(folder, "$name.in.png")), by)
                val db = Statistics.psnr(got, readPng(expected))
                println("continuous $name x$by: %.1f dB".format(db))
                assertTrue("$name x$by: $db dB", db >= 80)
            }
        }
    }

    /** Python enlarges the colours as float, this core as 8 bits: near, not equal. */
    @Test
    fun keptColoursAreNearPythons() {
        val artifact = artifacts().first { it.file.parentFile!!.name == "plain" }
        val name = artifact.file.parentFile!!.name
        val (given, expected) = listOf("in", "out").map { readPng(File(folder, "$name.kept.$it.png")) }
        val enlarger = Enlarger(open(artifact), artifact.choices[0], artifact.manifest.halo!!, artifact.file.name)
        val db = Statistics.psnr(enlarger.enlarge(given, keepColours = true), expected)
        println("own colours kept: %.1f dB against Python's picture".format(db))
        assertTrue("$db dB", db >= 40)
    }

    @Test
    fun latencyIsWrittenForTheReport() {
        val out = File(folder, "latency").apply { mkdirs() }
        for (artifact in artifacts().filterNot { it.manifest.continuous }) {
            val choice = artifact.choices[0]
            val engine = open(artifact)
            val plan = TimingPlan(warmup = 2, runs = 5, threads = null)
            val timings = Stopwatch(engine, choice, artifact.file.name).time(plan)
            val status = File("/proc/self/status").readText()
            val conditions = Conditions("release", null, Memory.of(status, status), engine.loadMs, null)
            // What a phone would write, and what this machine has to say of itself.
            for (emulated in listOf(false, true)) {
                val device = DeviceFacts("Example \"Phone\" \u00e9", "Android 16", null, emulated)
                val report = LatencyReport(
                    Date(), "org.edgescs", "0.1.0", device, artifact.manifest, choice, "1.4.1",
                    engine.backends(choice.method), plan, "none", "unknown", engine.loadMs, timings, conditions,
                )
                val kind = if (emulated) "emulated" else "phone"
                AtomicFiles.write(File(out, "${artifact.file.name}.$kind.json"), report.json())
            }
        }
    }
}
