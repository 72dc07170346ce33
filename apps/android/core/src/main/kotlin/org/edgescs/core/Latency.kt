package org.edgescs.core

import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone

/** How to time. [warmup] counts the first inference; [threads] null leaves the number to the runtime. */
class TimingPlan(
    val warmup: Int = 10, val runs: Int = 50, val threads: Int? = null,
    /** Minutes of one inference after the other when the timed runs are done; 0: none. */
    val sustainedMinutes: Int = 0,
) {
    init {
        if (warmup !in 1..MAX || runs !in 1..MAX) {
            throw ArtifactException("warm-up and runs must be 1 to $MAX, not $warmup and $runs")
        }
        if (threads != null && threads !in 1..1024) throw ArtifactException("threads must be 1 to 1024, not $threads")
        if (sustainedMinutes !in 0..LONGEST) {
            throw ArtifactException("sustained must be 0 to $LONGEST minutes, not $sustainedMinutes")
        }
    }

    private companion object {
        const val MAX = 10_000
        const val LONGEST = 60
    }
}

/** Milliseconds: [samples] are inference alone, [pipelineMs] the median with packing and unpacking. */
class Timings(val firstMs: Double, val samples: List<Double>, val pipelineMs: Double)

/** Times one [Choice] of an engine on one picture of the artifact's size. */
class Stopwatch(
    private val engine: Engine,
    private val choice: Choice,
    name: String,
    private val nanos: () -> Long = System::nanoTime,
) {
    private val enlarger = Enlarger(engine, choice, halo = 0, name)
    private val picture = pattern(choice.lr)
    private val guide by lazy { enlarger.guide(choice.reference?.let(::pattern)) }

    /** [progress] hears (inferences done, of all) and may throw [CancelledException]. */
    fun time(plan: TimingPlan, progress: (Int, Int) -> Unit = { _, _ -> }): Timings {
        guide
        val samples = ArrayList<Double>()
        val whole = ArrayList<Double>()
        var firstMs = 0.0
        for (number in 0 until plan.warmup + plan.runs) {
            val turn = turn()
            if (number == 0) firstMs = turn.inferenceMs
            if (number >= plan.warmup) {
                samples += turn.inferenceMs
                whole += turn.wholeMs
            }
            progress(number + 1, plan.warmup + plan.runs)
        }
        return Timings(firstMs, samples, Statistics.median(whole))
    }

    /**
     * One inference after the other for [minutes], packing and unpacking between them as an app would. The run that is
     * under way when they are over does not count, unless it is the only one. [thermal] is asked once a minute;
     * [progress] hears (seconds done, of all) at most once a second and may throw.
     */
    fun sustain(minutes: Int, thermal: () -> String, progress: (Int, Int) -> Unit = { _, _ -> }): Sustained {
        guide
        val sorted = MinuteByMinute(thermal)
        val all = minutes * MinuteByMinute.MINUTE_MS
        var seconds = 0.0
        var said = 0
        val start = nanos()
        while (true) {
            val turn = turn()
            val ended = milliseconds(turn.ended - start)
            if (ended < all || seconds == 0.0) {
                sorted.add(ended, turn.inferenceMs)
                seconds = ended / 1e3
            }
            if (ended >= all) return Sustained(seconds, sorted.minutes())
            if ((ended / 1e3).toInt() > said) {
                said = (ended / 1e3).toInt()
                progress(said, minutes * 60)
            }
        }
    }

    private class Turn(val inferenceMs: Double, val wholeMs: Double, val ended: Long)

    private fun turn(): Turn {
        val start = nanos()
        val inputs = listOf(enlarger.tensor(picture)) + guide
        val packed = nanos()
        val rgb = engine.run(choice.method, inputs)
        val done = nanos()
        Pixels.picture(choice.hr.height, choice.hr.width, rgb.values)
        val unpacked = nanos()
        return Turn(milliseconds(done - packed), milliseconds(unpacked - start), unpacked)
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
    val conditions: Conditions,
) {
    val summary = Statistics.summary(timings.samples.map(::rounded))

    fun document(): Map<String, Any?> = linkedMapOf(
        "schema_version" to 2,
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
        "compile_ms" to null, // ExecuTorch's programs are compiled when they are exported
        "cached_load_ms" to conditions.cachedLoadMs?.let(::rounded),
        "first_ms" to rounded(timings.firstMs),
        "pipeline_ms" to rounded(timings.pipelineMs),
        "build_type" to conditions.buildType,
        "low_power_mode" to conditions.lowPower,
        "memory" to conditions.memory?.let { linkedMapOf("before_mb" to it.beforeMb, "peak_mb" to it.peakMb) },
        "placement" to null, // ExecuTorch reports delegates, which are the backends above
        "sustained" to conditions.sustained?.let(::sustained),
    )

    private fun sustained(run: Sustained) = linkedMapOf(
        "seconds" to rounded(run.seconds),
        "runs" to run.minutes.sumOf { it.runs },
        "minutes" to run.minutes.map { minute ->
            linkedMapOf(
                "runs" to minute.runs,
                "p50_ms" to minute.p50Ms?.let(::rounded),
                "p90_ms" to minute.p90Ms?.let(::rounded),
                "p99_ms" to minute.p99Ms?.let(::rounded),
                "max_ms" to minute.maxMs?.let(::rounded),
                "thermal" to minute.thermal,
            )
        },
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
