package org.edgescs.core

import kotlin.math.ceil
import kotlin.math.log10

/** What is reported of times in milliseconds. */
class Summary(val medianMs: Double, val p90Ms: Double, val minMs: Double, val trimmedMeanMs: Double)

object Statistics {
    /** At least one time. The median of an even number is the mean of the middle two; p90 is the nearest rank. */
    fun summary(times: List<Double>): Summary {
        require(times.isNotEmpty()) { "nothing was timed" }
        val sorted = times.sorted()
        val n = sorted.size
        val median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2
        val cut = n / 10
        val kept = sorted.subList(cut, n - cut)
        return Summary(median, percentile(sorted, 0.9), sorted[0], kept.sum() / kept.size)
    }

    fun median(times: List<Double>): Double = summary(times).medianMs

    /** Nearest rank: the least time that at least [share] of all do not exceed. [sorted] is in rising order. */
    private fun percentile(sorted: List<Double>, share: Double) = sorted[ceil(share * sorted.size).toInt() - 1]

    /** PSNR over RGB, peak 255, in dB; 200 for equal pictures, as the manifests say it. Sizes must agree. */
    fun psnr(a: Picture, b: Picture): Double {
        require(a.height == b.height && a.width == b.width) {
            "pictures of ${a.width}x${a.height} and ${b.width}x${b.height} cannot be compared"
        }
        var sum = 0L
        for (i in a.argb.indices) {
            for (shift in intArrayOf(0, 8, 16)) {
                val difference = (a.argb[i] shr shift and 0xff) - (b.argb[i] shr shift and 0xff)
                sum += difference * difference
            }
        }
        if (sum == 0L) return MAX_PSNR_DB
        return minOf(MAX_PSNR_DB, -10 * log10(sum.toDouble() / (3.0 * a.argb.size) / (255.0 * 255.0)))
    }

    const val MAX_PSNR_DB = 200.0
}
