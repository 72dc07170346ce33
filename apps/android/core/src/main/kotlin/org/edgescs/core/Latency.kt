package org.edgescs.core

import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone

/** How to time. [warmup] counts the first inference; [threads] null leaves the number to the runtime. */
class TimingPlan(val warmup: Int = 10, val runs: Int = 50, val threads: Int? = null) {
    init {
        if (warmup !in 1..MAX || runs !in 1..MAX) {
            throw ArtifactException("warm-up and runs must be 1 to $MAX, not $warmup and $runs")
        }
        if (threads != null && threads !in 1..1024) throw ArtifactException("threads must be 1 to 1024, not $threads")
    }

    private companion object {
        const val MAX = 10_000
    }
}

/** Milliseconds: [samples] are inference alone, [pipelineMs] the median with packing and unpacking. */
class Timings(val firstMs: Double, val samples: List<Double>, val pipelineMs: Double)

/** Times one [Choice] of an engine on one picture of the artifact's size. */
class Stopwatch(
    private val engine: Engine,
    private val choice: Choice,
    private val name: String,
    private val nanos: () -> Long = System::nanoTime,
) {
    /** [progress] hears (inferences done, of all) and may throw [CancelledException]. */
    fun time(plan: TimingPlan, progress: (Int, Int) -> Unit = { _, _ -> }): Timings {
        val enlarger = Enlarger(engine, choice, halo = 0, name)
        val picture = pattern(choice.lr)
        val guide = enlarger.guide(choice.reference?.let(::pattern))
        val samples = ArrayList<Double>()
        val whole = ArrayList<Double>()
        var firstMs = 0.0
        for (turn in 0 until plan.warmup + plan.runs) {
            val start = nanos()
            val inputs = listOf(enlarger.tensor(picture)) + guide
            val packed = nanos()
            val rgb = engine.run(choice.method, inputs)
            val done = nanos()
            Pixels.picture(choice.hr.height, choice.hr.width, rgb.values)
            val unpacked = nanos()
            if (turn == 0) firstMs = milliseconds(done - packed)
            if (turn >= plan.warmup) {
                samples += milliseconds(done - packed)
                whole += milliseconds(unpacked - start)
            }
            progress(turn + 1, plan.warmup + plan.runs)
        }
        return Timings(firstMs, samples, Statistics.median(whole))
    }

    companion object {
        fun milliseconds(nanos: Long): Double = nanos / 1e6

        /** A picture with something to see everywhere; what it shows does not change the time. */
        fun pattern(size: Size) = Picture(size.height, size.width, IntArray(size.height * size.width) {
            val (y, x) = it / size.width to it % size.width
            Pixels.argb(x * 255 / size.width, y * 255 / size.height, (x xor y) and 0xff)
        })
    }
}

/** What was measured, and as what it is written: edge_scs/phones/latency.schema.json. */
class LatencyReport(
    val created: Date,
    val appName: String,
    val appVersion: String,
    val device: DeviceFacts,
    val manifest: Manifest,
    val choice: Choice,
    val runtimeVersion: String,
    val backends: List<String>,
    val plan: TimingPlan,
    val thermalBefore: String,
    val thermalAfter: String,
    val loadMs: Double,
    val timings: Timings,
) {
    val summary = Statistics.summary(timings.samples.map(::rounded))

    fun document(): Map<String, Any?> = linkedMapOf(
        "schema_version" to 1,
        "created" to utc(created),
        "emulated" to device.emulated,
        "app" to linkedMapOf("name" to appName, "version" to appVersion, "platform" to "android"),
        "device" to text(device.device),
        "os" to text(device.os),
        "soc" to device.soc?.takeIf { it.isNotBlank() }?.let(::text),
        "model" to linkedMapOf(
            "name" to manifest.model,
            "file" to manifest.artifact,
            "sha256" to manifest.sha256,
            "lr" to listOf(choice.lr.height, choice.lr.width),
            "hr" to listOf(choice.hr.height, choice.hr.width),
        ),
        "runtime" to "executorch",
        "runtime_version" to runtimeVersion,
        "backends" to backends.take(32).map(::text),
        "compute_units" to null,
        "threads" to plan.threads,
        "thermal_before" to thermalBefore,
        "thermal_after" to thermalAfter,
        "warmup" to plan.warmup,
        "runs" to timings.samples.size,
        "samples_ms" to timings.samples.map(::rounded),
        "median_ms" to rounded(summary.medianMs),
        "p90_ms" to rounded(summary.p90Ms),
        "min_ms" to rounded(summary.minMs),
        "trimmed_mean_ms" to rounded(summary.trimmedMeanMs),
        "load_ms" to rounded(loadMs),
        "first_ms" to rounded(timings.firstMs),
        "pipeline_ms" to rounded(timings.pipelineMs),
    )

    fun json(): String = Json.write(document()) + "\n"

    companion object {
        /** What a screen shows of a written document: every key but the samples, one a line. */
        fun lines(json: String): List<String> = (Json.read(json) as Map<*, *>).entries
            .filter { it.key != "samples_ms" && it.key != "schema_version" }
            .map { (key, value) -> "$key: ${if (value is String) value else Json.write(value)}" }

        /** To a ten-thousandth of a millisecond, and never zero, which the schema refuses. */
        private fun rounded(ms: Double): Double = maxOf(1e-4, Math.round(ms * 1e4) / 1e4)

        /** 1 to 200 characters. */
        private fun text(value: String) = value.trim().ifEmpty { "unknown" }.take(200)

        private fun utc(date: Date): String = SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'Z'", Locale.ROOT)
            .apply { timeZone = TimeZone.getTimeZone("UTC") }.format(date)
    }
}
