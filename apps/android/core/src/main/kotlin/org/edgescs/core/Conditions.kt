package org.edgescs.core

import kotlin.math.ceil

/** Under what a model was measured, beside the times. Null: the system does not report it, or it was not measured. */
class Conditions(
    /** "debug", "benchmark" or "release". */
    val buildType: String,
    val lowPower: Boolean?,
    val memory: Memory?,
    val cachedLoadMs: Double?,
    val sustained: Sustained?,
) {
    companion object {
        /** A build that can be debugged is a debug build, whatever its [name]. */
        fun buildType(name: String, debuggable: Boolean): String =
            if (debuggable) "debug" else if (name == "benchmark") name else "release"
    }
}

/** The process in MB (10^6 bytes): before the model was loaded, and its peak. */
class Memory(val beforeMb: Double, val peakMb: Double) {
    companion object {
        /** From `/proc/self/status` before and after: VmRSS then, VmHWM now. Null where it holds neither. */
        fun of(before: String, after: String): Memory? {
            val resident = megabytes(before, "VmRSS") ?: return null
            val peak = megabytes(after, "VmHWM") ?: return null
            return Memory(resident, maxOf(resident, peak))
        }

        private fun megabytes(status: String, key: String): Double? =
            Regex("^$key:\\s+(\\d+) kB$", RegexOption.MULTILINE).find(status)?.let { it.groupValues[1].toLong() }
                ?.takeIf { it > 0 }?.let { it * 1024 / 1e6 }
    }
}

/**
 * The runs that ended in one minute, nearest ranks in milliseconds, null where none did; [thermal] when it was over.
 */
class Minute(
    val runs: Int, val p50Ms: Double?, val p90Ms: Double?, val p99Ms: Double?, val maxMs: Double?, val thermal: String,
)

/** One inference after the other for minutes: [seconds] from the first one's start to the last one's end. */
class Sustained(val seconds: Double, val minutes: List<Minute>)

/** Sorts runs into the minutes in which they ended. */
class MinuteByMinute(private val thermal: () -> String = { "unknown" }) {
    private val times = ArrayList<ArrayList<Double>>()
    private val heat = ArrayList<String>()

    /** A run of [ms] that ended [endedMs] after the first one began. */
    fun add(endedMs: Double, ms: Double) {
        val minute = (endedMs / MINUTE_MS).toInt()
        if (minute >= times.size && times.isNotEmpty()) thermal().let { now -> while (heat.size < minute) heat += now }
        while (times.size <= minute) times += ArrayList<Double>()
        times[minute] += ms
    }

    fun minutes(): List<Minute> {
        while (heat.size < times.size) heat += thermal()
        return times.mapIndexed { i, ms -> minute(ms.sorted(), heat[i]) }
    }

    private fun minute(sorted: List<Double>, thermal: String): Minute {
        if (sorted.isEmpty()) return Minute(0, null, null, null, null, thermal)
        val rank = { share: Double -> sorted[ceil(share * sorted.size).toInt() - 1] }
        return Minute(sorted.size, rank(0.5), rank(0.9), rank(0.99), sorted.last(), thermal)
    }

    companion object {
        const val MINUTE_MS = 60_000.0
    }
}
