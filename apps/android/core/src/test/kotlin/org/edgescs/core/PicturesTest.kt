package org.edgescs.core

import java.io.File
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** Pictures before and after the network: orientation, transparency, vividness, magnified views; files of runs. */
class PicturesTest {
    @get:Rule
    val temporary = TemporaryFolder()

    /** 0 1 2 / 3 4 5, as the eight orientations of Exif 2.3 show it upright. */
    @Test
    fun everyOrientationIsTurnedUpright() {
        val expected = mapOf(
            1 to "012345", 2 to "210543", 3 to "543210", 4 to "345012",
            5 to "031425", 6 to "304152", 7 to "524130", 8 to "251403",
        )
        val picture = Picture(2, 3, IntArray(6) { it })
        for ((orientation, pixels) in expected) {
            val upright = Orientation.upright(picture, orientation)
            assertEquals("$orientation", pixels, upright.argb.joinToString(""))
            assertEquals("$orientation", if (orientation < 5) 2 else 3, upright.height)
        }
        assertSame(picture, Orientation.upright(picture, 9))
    }

    @Test
    fun transparentPixelsAreWhite() {
        assertEquals(0xffffffff.toInt(), Pixels.onWhite(0x00000000))
        assertEquals(0xff102030.toInt(), Pixels.onWhite(0xff102030.toInt()))
        assertEquals(Pixels.argb(127, 127, 255), Pixels.onWhite(0x800000ff.toInt()))
    }

    @Test
    fun vividnessFollowsTheManifestsFormula() {
        val picture = Picture(1, 2, intArrayOf(Pixels.argb(200, 100, 50), Pixels.argb(90, 90, 90)))
        assertSame(picture, Pixels.vivid(picture, 1f))
        val luma = 124 // 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
        assertArrayEquals(intArrayOf(Pixels.argb(luma, luma, luma), picture.argb[1]), Pixels.vivid(picture, 0f).argb)
        assertEquals(Pixels.argb(238, 88, 13), Pixels.vivid(picture, 1.5f).argb[0])
    }

    @Test
    fun aMagnifiedPictureStaysUnderTheFingersAndInTheView() {
        val view = Comparison(Size(200, 400), Size(100, 100))
        assertEquals(Frame(100f, 0f, 300f, 200f), view.frame)
        view.magnify(2f, 100f, 0f)
        assertEquals(2f, view.zoom)
        assertEquals(0f, view.frame.top, 1e-3f) // the corner under the fingers
        assertEquals(400f, view.frame.bottom - view.frame.top, 1e-3f)
        view.pan(0f, -1000f)
        assertEquals(200f, view.frame.bottom, 1e-3f) // no gap
        assertEquals(0.5f, view.divider(view.x(0.5f)), 1e-3f)
        view.magnify(1000f, 200f, 100f)
        assertEquals(Comparison.MAX_ZOOM / 2, view.zoom, 1e-3f)
        view.magnify(1e-3f, 0f, 0f)
        assertEquals(Frame(100f, 0f, 300f, 200f), view.frame)
    }

    @Test
    fun aRunThatEndsLateWritesNothing() {
        val folder = temporary.newFolder()
        val files = RunFiles(folder, "a.json", "a.error")
        val first = files.begin()
        assertTrue(files.write(first, "a.json", "{}"))
        val second = files.begin()
        assertTrue(folder.listFiles()!!.isEmpty())
        assertFalse("a cancelled run must not fail the next one", files.write(first, "a.error", "cancelled"))
        assertTrue(files.write(second, "a.error", "x"))
        assertTrue(files.write(second, "a.json", "{}"))
        assertEquals(listOf("a.json"), folder.listFiles()!!.map(File::getName))
    }

    @Test
    fun whatDoesNotOpenIsClosed() {
        val said = ArrayList<String>()
        assertThrows(IllegalStateException::class.java) { closingOnFailure({ said += "closed" }) { error("no") } }
        assertEquals(1, closingOnFailure({ said += "closed again" }) { 1 })
        assertEquals(listOf("closed"), said)
    }

    /** Pixel centres at half-integers: docs/drive-it-yourself.md. */
    @Test
    fun continuousAxes() {
        assertEquals(listOf(0.75f, 0.25f, 0.25f, 0.75f), Bilinear.weights(1, 3, 2, 4).values.toList())
        assertEquals(0..1, Bilinear.seen(0, 1, 5, 10)) // two pixels at least
        assertEquals(3..4, Bilinear.seen(9, 10, 5, 10))
        assertEquals(0..4, Bilinear.seen(4, 5, 5, 10, halo = 7))
        assertArrayEquals(floatArrayOf(-0.5f, 0.5f, 0.5f, 0.5f), Bilinear.positions(0, 2, 5, 10), 1e-6f)
        assertEquals(-1f, Bilinear.positions(1, 2, 2, 3)[0], 1e-6f) // a centre on an edge belongs to the next pixel
        val means = Planes(1, 3, 3, FloatArray(9) { it.toFloat() }).averaged(2)
        assertArrayEquals(floatArrayOf(2f, 3.5f, 6.5f, 8f), means.values, 1e-5f)
        val nine = Planes(1, 3, 3, FloatArray(9) { it.toFloat() })
        assertArrayEquals(floatArrayOf(8f, 0f), nine.cut(2, 3, 2, 4).values, 0f)
    }
}
