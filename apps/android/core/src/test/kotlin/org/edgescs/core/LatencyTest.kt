package org.edgescs.core

import java.text.SimpleDateFormat
import java.util.TimeZone
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Timing by a clock that the test turns, and the document that says what was measured. */
class LatencyTest {
    private val choice = Choice("forward", 1, Size(2, 3), Size(4, 6), Size(2, 2))

    /** Packing takes 1 ms, inference n + 1 ms in turn n, unpacking 2 ms. */
    private class Clockwork : Engine {
        var turn = 0
        private var reading = 0
        override val loadMs = 1.0

        fun nanos(): Long {
            val turns = reading / 4
            val before = turns * (turns + 1) / 2L + 3L * turns
            val within = listOf(0L, 1L, 2L + turns, 4L + turns)[reading % 4]
            reading++
            return (before + within) * 1_000_000
        }

        override fun backends(method: String) = emptyList<String>()

        override fun run(method: String, inputs: List<Tensor>): Tensor {
            turn++
            assertEquals(listOf(listOf(1, 1, 2, 3), listOf(1, 3, 2, 2)), inputs.map { it.shape })
            return Tensor(listOf(1, 3, 4, 6), FloatArray(72) { 0.5f })
        }

        override fun close() = Unit
    }

    @Test
    fun theFirstRunAndWarmUpAreNotSamples() {
        val engine = Clockwork()
        val heard = ArrayList<Int>()
        val stopwatch = Stopwatch(engine, choice, "m.pte", engine::nanos)
        val timings = stopwatch.time(TimingPlan(2, 3)) { done, _ -> heard += done }
        assertEquals(1.0, timings.firstMs, 1e-9)
        assertEquals(listOf(3.0, 4.0, 5.0), timings.samples)
        assertEquals(4.0 + 3.0, timings.pipelineMs, 1e-9)
        assertEquals(5, engine.turn)
        assertEquals(listOf(1, 2, 3, 4, 5), heard)
    }

    @Test
    fun aPlanThatMakesNoSenseIsRefused() {
        val plans = listOf(Triple(0, 5, null), Triple(1, 0, null), Triple(1, 10_001, null), Triple(1, 1, 0))
        for ((warmup, runs, threads) in plans) {
            assertThrows(ArtifactException::class.java) { TimingPlan(warmup, runs, threads) }
        }
    }

    @Test
    fun theDocumentIsTheVectors() {
        val file = Vectors.read("latency")
        for (case in file.cases().filter { "\"android\"" in Json.write(it["measured"]) }) {
            val measured = Vectors(case["measured"] as Map<*, *>)
            val document = report(measured).document()
            assertSame("", case["document"], Json.read(Json.write(document)), file.double("tolerance"))
            assertEquals((case["document"] as Map<*, *>).keys.toList(), document.keys.toList())
        }
    }

    private fun report(measured: Vectors): LatencyReport {
        val model = Vectors(measured["model"] as Map<*, *>)
        val app = Vectors(measured["app"] as Map<*, *>)
        val manifest = Manifest(
            model.text("file"), "executorch", "xnnpack", "xnnpack-fp32", "fp32", model.text("name"),
            model.text("sha256"), 80.0, null, null, null, null, null, 0.0, emptyList(),
        )
        val utc = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'Z'").apply { timeZone = TimeZone.getTimeZone("UTC") }
        val emulated = measured["emulated"] as Boolean
        val device = DeviceFacts(measured.text("device"), measured.text("os"), measured["soc"] as String?, emulated)
        val samples = measured.doubles("samples_ms")
        return LatencyReport(
            utc.parse(measured.text("created"))!!, app.text("name"), app.text("version"), device, manifest,
            Choice("forward", 1, model.size("lr"), model.size("hr"), null), measured.text("runtime_version"),
            (measured["backends"] as List<*>).map { it as String },
            TimingPlan(measured.int("warmup"), samples.size, (measured["threads"] as Long?)?.toInt()),
            measured.text("thermal_before"), measured.text("thermal_after"), measured.double("load_ms"),
            Timings(measured.double("first_ms"), samples, measured.double("pipeline_ms")),
        )
    }

    private fun assertSame(where: String, expected: Any?, got: Any?, tolerance: Double) {
        when (expected) {
            is Map<*, *> -> {
                assertEquals(where, expected.keys, (got as Map<*, *>).keys)
                for ((key, value) in expected) assertSame("$where/$key", value, got[key], tolerance)
            }
            is List<*> -> {
                assertEquals(where, expected.size, (got as List<*>).size)
                expected.indices.forEach { assertSame("$where/$it", expected[it], got[it], tolerance) }
            }
            is Number -> assertEquals(where, expected.toDouble(), (got as Number).toDouble(), tolerance)
            else -> assertEquals(where, expected, got)
        }
    }

    @Test
    fun namesOfStrangePhonesFitTheSchema() {
        val vectors = Vectors.read("latency").cases()[0]
        val measured = HashMap(vectors["measured"] as Map<*, *>)
        measured["device"] = "x".repeat(300)
        measured["soc"] = " "
        measured["os"] = ""
        val document = report(Vectors(measured)).document()
        assertEquals(200, (document["device"] as String).length)
        assertEquals(null, document["soc"])
        assertEquals("unknown", document["os"])
        assertTrue(Json.write(mapOf("a" to "\ud800\u0001\"")) == """{"a": "\ud800\u0001\""}""")
        assertThrows(IllegalArgumentException::class.java) { Json.write(Double.NaN) }
    }
}
