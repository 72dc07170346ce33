package org.edgescs.core

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** What the screens ask of the core: engines that open and close, facts of a phone, the slider, files. */
class WorkshopTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val opened = ArrayList<String>()

    private inner class Recording(private val name: String) : Engine {
        override val loadMs = 1.0

        override fun backends(method: String) = listOf("B of $method")

        override fun run(method: String, inputs: List<Tensor>) = Tensor(listOf(1, 3, 80, 80), FloatArray(19200) { 1f })

        override fun close() {
            opened += "closed $name"
        }
    }

    private val choice = Choice("forward", 1, Size(40, 40), Size(80, 80), null)

    private fun artifact(name: String): Artifact {
        val text = Vectors.read("manifest").cases("readable")[0].text("text")
        return Artifact(File(name), Manifest.read(text, name), listOf(choice))
    }

    private fun workshop(nanos: () -> Long = System::nanoTime) = Workshop({ artifact, threads ->
        val name = "${artifact.file.name} on $threads"
        opened += name
        Recording(name)
    }, nanos)

    @Test
    fun oneEngineIsOpenAndOnlyReopenedForAnother() {
        val (a, b) = artifact("a") to artifact("b")
        workshop().use {
            assertSame(it.engine(a, 2), it.engine(a, 2))
            it.engine(a, null)
            it.engine(b, null)
        }
        val expected = listOf("a on 2", "a on null", "b on null").flatMap { listOf(it, "closed $it") }
        assertEquals(expected, opened)
    }

    @Test
    fun anAnswerTellsWhatItTook() {
        var reading = 0L
        val picture = Picture(50, 40, IntArray(2000))
        val answer = workshop { reading++ * 1_000_000 }.colour(artifact("a"), choice, 4, picture, null)
        assertEquals(Size(100, 80), Size(answer.picture.height, answer.picture.width))
        assertEquals(listOf("B of forward"), answer.backends)
        assertTrue(answer.tiles > 1)
        assertEquals(answer.tiles.toDouble(), answer.inferenceMs, 1e-9) // one tick for each
        assertEquals(2.0 * answer.tiles + 1, answer.totalMs, 1e-9)
    }

    @Test
    fun threadsOfferedFitTheMachine() {
        assertEquals(listOf(null, 1, 2, 4), Workshop.threadChoices(7))
        assertEquals(listOf(null, 1), Workshop.threadChoices(0))
    }

    @Test
    fun phonesAreNamedAndEmulatorsKnown() {
        fun facts(model: String = "Pixel 9", hardware: String = "tokay", product: String = "tokay"): DeviceFacts {
            val fingerprint = "google/$product/tokay:16/release-keys"
            return DeviceFacts.of("google", model, "16", "Google", "Tensor G4", hardware, product, fingerprint)
        }
        val phone = facts().run { listOf(device, os, soc, emulated) }
        assertEquals(listOf("Google Pixel 9", "Android 16", "Google Tensor G4", false), phone)
        assertEquals("Google Pixel", facts(model = "Google Pixel").device)
        assertEquals(null, DeviceFacts.of("a", "b", "9", "unknown", null, "c", "d", "e").soc)
        assertTrue(facts(hardware = "ranchu").emulated)
        assertTrue(facts(product = "sdk_gphone64_arm64").emulated)
        assertEquals(listOf("unknown", "none", "shutdown", "unknown"), listOf(null, 0, 6, 7).map(DeviceFacts::thermal))
    }

    @Test
    fun theSliderStandsOnThePicture() {
        val wide = Comparison(Size(100, 300), Size(50, 100))
        assertEquals(Frame(50f, 0f, 250f, 100f), wide.frame)
        assertEquals(listOf(0f, 0.5f, 1f), listOf(10f, 150f, 299f).map(wide::divider))
        assertEquals(150f, wide.x(0.5f), 0f)
        assertEquals(0.6f, Comparison.stepped(0.5f, forward = true), 1e-6f)
        assertEquals(0f, Comparison.stepped(0.05f, forward = false), 0f)
        assertEquals(60, Comparison.percent(0.6f))
    }

    @Test
    fun filesAppearWholeOrNotAtAll() {
        val file = File(temporary.root, "new/latency.json")
        AtomicFiles.write(file, "{}")
        AtomicFiles.write(file, "[]")
        assertEquals("[]", file.readText())
        assertEquals(listOf("latency.json"), file.parentFile!!.list()!!.toList())
        val blocked = temporary.newFolder("blocked")
        File(blocked, "x").createNewFile()
        assertThrows(java.io.IOException::class.java) { AtomicFiles.write(blocked, "{}") }
        assertFalse(File(temporary.root, "blocked.partial").exists())
    }

    @Test
    fun decodersShrinkNoFurtherThanAsked() {
        assertEquals(4, Shrinking.sampleSize(3024, 4032, 640))
        assertEquals(1, Shrinking.sampleSize(640, 480, 640))
    }
}
