package org.edgescs.core

import org.edgescs.core.Vectors.Companion.assertClose
import org.edgescs.core.Vectors.Companion.assertPixels
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** What Python computes, computed here: every file of apps/testdata. */
class VectorsTest {
    @Test
    fun tiling() {
        val file = Vectors.read("tiling")
        for (case in file.cases()) {
            val what = "lr ${case.int("lr")} in tiles of ${case.int("tile")}"
            val axis = Tiling.axis(case.int("lr"), case.int("tile"), case.int("hr_tile"), case.int("halo"))
            if ("refused" in case) {
                assertNull(what, axis)
                continue
            }
            assertArrayEquals(what, case.ints("starts"), axis!!.starts)
            assertArrayEquals(what, case.ints("hr_starts"), axis.hrStarts)
            val weights = case["weights"] as List<*>? ?: continue
            assertEquals(what, weights.size, axis.weights.size)
            weights.forEachIndexed { i, row ->
                assertClose("$what, tile $i", Vectors.floats(row), axis.weights[i], file.double("tolerance"))
            }
        }
    }

    @Test
    fun blending() {
        val file = Vectors.read("blending")
        for (case in file.cases()) {
            val (lr, tile, hr) = listOf(case.size("lr"), case.size("tile"), case.size("hr_tile"))
            val grey = case.ints("grey").map { Pixels.argb(it, it, it) }.toIntArray()
            val enlarger = Enlarger(TintingEngine(hr), Choice("forward", 1, tile, hr, null), case.int("halo"), "m.pte")
            val got = enlarger.enlarge(Picture(lr.height, lr.width, grey))
            assertEquals(case.size("size"), Size(got.height, got.width))
            assertPixels("picture of $lr", case.argb("argb"), got.argb, file.int("tolerance_levels"))
        }
    }

    @Test
    fun packing() {
        val file = Vectors.read("packing")
        val tolerance = file.double("tolerance")
        val argb = file.argb("argb")
        val picture = Picture(1, argb.size, argb)
        assertArrayEquals(file.ints("grey"), argb.map(Pixels::grey).toIntArray())
        assertArrayEquals(file.floats("grey_tensor"), Pixels.greyTensor(picture), 0f)
        assertArrayEquals(file.floats("rgb_tensor"), Pixels.rgbTensor(picture), 0f)
        assertClose("ycc", file.floats("ycc_tensor"), Pixels.yccFromRgb(Pixels.rgbTensor(picture)), tolerance)
        assertPixels("planes", file.argb("planes_argb"), Pixels.picture(1, 32, file.floats("planes")).argb)
        val rgb = Pixels.rgbFromYcc(file.floats("ycc"))
        assertClose("rgb", file.floats("ycc_rgb"), rgb, tolerance)
        assertPixels("rgb", file.argb("ycc_argb"), Pixels.picture(1, 32, rgb).argb)
    }

    @Test
    fun shrinking() {
        val file = Vectors.read("shrinking")
        for (case in file.cases()) {
            val to = case.size("to")
            val got = Shrinking.resize(case.picture("from", "argb"), to.height, to.width)
            assertPixels("${case.size("from")} to $to", case.argb("small"), got.argb, file.int("tolerance_levels"))
        }
    }

    @Test
    fun statistics() {
        val file = Vectors.read("statistics")
        for (case in file.cases()) {
            val got = Statistics.summary(case.doubles("samples_ms"))
            assertEquals(case.double("median_ms"), got.medianMs, file.double("tolerance"))
            assertEquals(case.double("p90_ms"), got.p90Ms, file.double("tolerance"))
            assertEquals(case.double("min_ms"), got.minMs, file.double("tolerance"))
            assertEquals(case.double("trimmed_mean_ms"), got.trimmedMeanMs, file.double("tolerance"))
        }
    }

    @Test
    fun psnr() {
        val file = Vectors.read("psnr")
        val first = Picture(3, 4, file.argb("argb"))
        for (case in file.cases()) {
            val got = Statistics.psnr(first, Picture(3, 4, case.argb("argb")))
            assertEquals(case.double("db"), got, file.double("tolerance"))
        }
    }

    @Test
    fun json() {
        val file = Vectors.read("json")
        for (case in file.cases("read")) {
            assertEquals(case.text("text"), case["value"], Json.read(case.text("text")))
            assertEquals(case["value"], Json.read(Json.write(case["value"])))
        }
        for (text in (file["refused"] as List<*>) + (file["strict"] as List<*>)) {
            assertThrows(JsonException::class.java) { Json.read(text as String) }
        }
    }

    @Test
    fun manifests() {
        val file = Vectors.read("manifest")
        for (case in file.cases("readable")) {
            val manifest = Manifest.read(case.text("text"), "m.pte.json")
            assertEquals(case.text("name"), case["reads"], facts(manifest))
        }
        for (case in file.cases("refused")) {
            val name = case.text("name")
            val read = { Manifest.read(case.text("text"), "m.pte.json") }
            val said = assertThrows(name, ArtifactException::class.java) { read() }.message!!
            assertTrue("$name: $said", case.text("mentions") in said)
            assertTrue("$name: $said", said.startsWith("m.pte.json: "))
        }
    }

    private fun facts(manifest: Manifest): Map<String, Any?> = mapOf(
        "artifact" to manifest.artifact, "target" to manifest.target, "backend" to manifest.backend,
        "preset" to manifest.preset, "precision" to manifest.precision, "model" to manifest.model,
        "sha256" to manifest.sha256, "min_psnr_db" to manifest.minPsnrDb, "golden" to manifest.golden,
        "halo" to manifest.halo?.toLong(), "parity_db" to manifest.parityDb, "verdict" to manifest.verdict,
        "continuous" to manifest.continuous,
        "methods" to manifest.methods.map {
            mapOf("name" to it.name, "scale" to it.scale, "inputs" to ports(it.inputs), "outputs" to ports(it.outputs))
        },
    )

    private fun ports(ports: List<Port>) = ports.map { port ->
        mapOf("name" to port.name, "shape" to port.shape.map { it.toLong() }, "dtype" to port.dtype)
    }
}

/** The rule of blending.json in place of a network. */
private class TintingEngine(private val hr: Size) : Engine {
    private var calls = 0
    override val loadMs = 1.0

    override fun backends(method: String) = listOf("None")

    override fun run(method: String, inputs: List<Tensor>): Tensor {
        val (_, _, h, w) = inputs[0].shape
        val plane = hr.height * hr.width
        val tint = (calls++ % 4) / 4f
        val out = FloatArray(3 * plane)
        for (i in 0 until plane) {
            val grey = inputs[0].values[i / hr.width * h / hr.height * w + i % hr.width * w / hr.width]
            out[i] = grey
            out[plane + i] = grey * 0.5f + tint * 0.5f
            out[2 * plane + i] = 1 - grey
        }
        return Tensor(listOf(1, 3, hr.height, hr.width), out)
    }

    override fun close() = Unit
}
