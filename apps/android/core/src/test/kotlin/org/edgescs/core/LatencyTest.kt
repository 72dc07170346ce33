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

    /** Its n-th run takes n seconds, and nothing else takes any time. */
    private class Tiring : Engine {
        var seconds = 0L
        private var runs = 0
        override val loadMs = 1.0

        override fun backends(method: String) = emptyList<String>()

        override fun run(method: String, inputs: List<Tensor>): Tensor {
            seconds += ++runs
            return Tensor(listOf(1, 3, 4, 6), FloatArray(72) { 0.5f })
        }

        override fun close() = Unit
    }

    @Test
    fun aSustainedRunEndsWithItsMinutes() {
        val engine = Tiring()
        val heard = ArrayList<Int>()
        val stopwatch = Stopwatch(engine, choice, "m.pte") { engine.seconds * 1_000_000_000 }
        val run = stopwatch.sustain(2, { "none" }) { seconds, of ->
            heard += seconds
            assertEquals(120, of)
        }
        // The tenth run ends after 55 seconds, the fourteenth after 105; the fifteenth ends with the two minutes.
        assertEquals(105.0, run.seconds, 1e-9)
        assertEquals(listOf(10.0, 5e3, 9e3, 10e3, 10e3), numbers(run.minutes[0]))
        assertEquals(listOf(4.0, 12e3, 14e3, 14e3, 14e3), numbers(run.minutes[1]))
        assertEquals((1..14).map { it * (it + 1) / 2 }, heard)
        val stopped = Stopwatch(Tiring(), choice, "m.pte")
        assertThrows(CancelledException::class.java) {
            Stopwatch(engine, choice, "m.pte") { engine.seconds * 1_000_000_000 }
                .sustain(1, { "none" }) { _, _ -> throw CancelledException() }
        }
        assertThrows(CancelledException::class.java) {
            stopped.time(TimingPlan(1, 1)) { _, _ -> throw CancelledException() }
        }
    }

    @Test
    fun runsAreSortedIntoMinutes() {
        val file = Vectors.read("sustained")
        for (case in file.cases()) {
            val sorted = MinuteByMinute()
            case.doubles("ended_ms").zip(case.doubles("samples_ms")).forEach { (ended, ms) -> sorted.add(ended, ms) }
            val (expected, got) = case.cases("minutes").map(::minuteOf) to sorted.minutes().map(::numbers)
            assertEquals(expected, got)
        }
    }

    private fun minuteOf(table: Vectors) =
        listOf("runs", "p50_ms", "p90_ms", "p99_ms", "max_ms").map { (table[it] as Number?)?.toDouble() }

    private fun numbers(minute: Minute) =
        minute.run { listOf(runs.toDouble(), p50Ms, p90Ms, p99Ms, maxMs) }

    @Test
    fun aMinutesHeatIsThatOfItsEnd() {
        val said = ArrayDeque(listOf("none", "light", "severe"))
        val sorted = MinuteByMinute { said.removeFirst() }
        for (ended in listOf(1e3, 59e3, 61e3, 200e3)) sorted.add(ended, 1.0)
        assertEquals(listOf("none", "light", "light", "severe"), sorted.minutes().map { it.thermal })
        assertEquals(listOf(2, 1, 0, 1), sorted.minutes().map { it.runs })
    }

    @Test
    fun memoryIsReadFromTheSystem() {
        val before = "Name:\tedgescs\nVmHWM:\t  200000 kB\nVmRSS:\t   61000 kB\n"
        val memory = Memory.of(before, "VmHWM:\t  250000 kB\nVmRSS:\t   70000 kB\n")!!
        assertEquals(listOf(62.464, 256.0), listOf(memory.beforeMb, memory.peakMb))
        assertEquals(null, Memory.of("", before))
        assertEquals(null, Memory.of(before, "VmHWM: none"))
        val own = java.io.File("/proc/self/status")
        if (own.isFile) assertTrue(own.readText().let { Memory.of(it, it) }!!.peakMb > 1)
    }

    @Test
    fun whatCanBeDebuggedIsADebugBuild() {
        assertEquals("debug", Conditions.buildType("benchmark", true))
        assertEquals("benchmark", Conditions.buildType("benchmark", false))
        assertEquals("release", Conditions.buildType("store", false))
    }

    @Test
    fun aPlanThatMakesNoSenseIsRefused() {
        assertThrows(ArtifactException::class.java) { TimingPlan(sustainedMinutes = 61) }
        assertThrows(ArtifactException::class.java) { TimingPlan(sustainedMinutes = -1) }
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
            Conditions(
                measured.text("build_type"), measured["low_power_mode"] as Boolean?,
                (measured["memory"] as Map<*, *>?)?.let { Vectors(it) }?.let {
                    Memory(it.double("before_mb"), it.double("peak_mb"))
                },
                (measured["cached_load_ms"] as Number?)?.toDouble(),
                (measured["sustained"] as Map<*, *>?)?.let { Vectors(it) }?.let { run ->
                    Sustained(run.double("seconds"), run.cases("minutes").map(::minute))
                },
            ),
        )
    }

    private fun minute(table: Vectors): Minute {
        val (p50, p90, p99, max) = minuteOf(table).drop(1)
        return Minute(table.int("runs"), p50, p90, p99, max, table.text("thermal"))
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
