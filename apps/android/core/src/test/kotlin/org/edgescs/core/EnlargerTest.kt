package org.edgescs.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** What the driver refuses, and how a user stops it; its arithmetic is in VectorsTest. */
class EnlargerTest {
    private val ends = listOf(0f, 1f) // where strong colours are clamped

    private class Repeating(private val hr: Size) : Engine {
        override val loadMs = 1.0

        override fun backends(method: String) = emptyList<String>()

        override fun run(method: String, inputs: List<Tensor>) =
            Tensor(listOf(1, 3, hr.height, hr.width), FloatArray(3 * hr.height * hr.width) { 0.25f })

        override fun close() = Unit
    }

    private fun enlarger(choice: Choice, gives: Size = choice.hr) = Enlarger(Repeating(gives), choice, 2, "m.pte")

    private fun grey(height: Int, width: Int) = Picture(height, width, IntArray(height * width))

    private fun said(run: () -> Unit) = assertThrows(ArtifactException::class.java) { run() }.message!!

    @Test
    fun referencesMustFit() {
        val plain = enlarger(Choice("forward", 1, Size(8, 8), Size(16, 16), null))
        val led = enlarger(Choice("forward", 1, Size(8, 8), Size(16, 16), Size(4, 4)))
        assertTrue("without a reference" in said { plain.enlarge(grey(8, 8), grey(4, 4)) })
        assertTrue("choose a reference" in said { led.enlarge(grey(8, 8)) })
        assertEquals(Size(16, 16), led.enlarge(grey(8, 8), grey(50, 70)).let { Size(it.height, it.width) })
    }

    /** A port for hints is filled with zeros, behind the reference, for every tile. */
    @Test
    fun noHintsAreZeros() {
        val given = ArrayList<List<Tensor>>()
        val engine = object : Engine by Repeating(Size(80, 80)) {
            override fun run(method: String, inputs: List<Tensor>): Tensor =
                Tensor(listOf(1, 3, 80, 80), FloatArray(3 * 80 * 80)).also { given += inputs }
        }
        val choice = Choice("forward", 1, Size(40, 40), Size(80, 80), Size(4, 4), hints = Size(10, 12))
        Enlarger(engine, choice, 2, "m.pte").enlarge(grey(60, 40), grey(5, 5))
        assertEquals(true, given.size > 1)
        for (inputs in given) {
            val shapes = listOf(listOf(1, 1, 40, 40), listOf(1, 3, 4, 4), listOf(1, 3, 10, 12))
            assertEquals(shapes, inputs.map { it.shape })
            assertTrue(inputs[2].values.size == 360 && inputs[2].values.all { it == 0f })
        }
        given.clear()
        val alone = Choice("forward", 1, Size(40, 40), Size(80, 80), null, hints = Size(10, 12))
        Stopwatch(engine, alone, "m.pte").time(TimingPlan(1, 1))
        assertEquals(listOf(listOf(1, 1, 40, 40), listOf(1, 3, 10, 12)), given[0].map { it.shape })
    }

    @Test
    fun anotherTensorThanTheManifestsIsRefused() {
        val choice = Choice("forward", 1, Size(8, 8), Size(16, 16), null)
        assertTrue("manifest says" in said { enlarger(choice, Size(8, 8)).enlarge(grey(8, 8)) })
    }

    @Test
    fun aScaleWithoutWholeOverlapsTakesItsOwnSizeOnly() {
        val choice = Choice("forward", 1, Size(7, 7), Size(8, 8), null)
        assertEquals(8, enlarger(choice).enlarge(grey(7, 7)).height)
        assertTrue("7x7" in said { enlarger(choice).enlarge(grey(8, 7)) })
    }

    @Test
    fun itCanBeStopped() {
        val choice = Choice("forward", 1, Size(40, 40), Size(80, 80), null)
        val stop = CancelledException()
        val got = assertThrows(CancelledException::class.java) {
            enlarger(choice).enlarge(grey(100, 100)) { done, of -> if (done == 2 && of > 2) throw stop }
        }
        assertSame(stop, got)
    }

    @Test
    fun coloursCanBeKept() {
        val photograph = Stopwatch.pattern(Size(8, 8))
        val choice = Choice("forward", 1, Size(8, 8), Size(8, 8), null)
        val kept = enlarger(choice).enlarge(photograph, keepColours = true) // luma 0.25 everywhere
        val (was, now) = listOf(photograph, kept).map { Pixels.yccFromRgb(Pixels.rgbTensor(it)) }
        val rgb = Pixels.rgbTensor(kept)
        val inside = (0 until 64).filter { i -> (0..2).none { c -> rgb[64 * c + i] in ends } }
        assertTrue("${inside.size} pixels", inside.size > 10)
        for (i in inside) {
            assertEquals(0.25f, now[i], 0.01f)
            for (c in 1..2) assertEquals(was[64 * c + i], now[64 * c + i], 0.01f)
        }
        val same = Pixels.withChroma(photograph, photograph)
        assertTrue(Statistics.psnr(photograph, same) > 50)
    }

    @Test
    fun largePicturesAreMadeSmallFirst() {
        assertEquals(Size(48, 64), Shrinking.fit(grey(480, 640), 64).let { Size(it.height, it.width) })
        val small = grey(30, 40)
        assertSame(small, Shrinking.fit(small, 64))
        assertEquals(1, Shrinking.fit(grey(1, 300), 64).height)
    }
}
