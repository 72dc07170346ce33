package org.edgescs.core

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

/**
 * Resizing as Pillow does it: bicubic, looking at every pixel that an output pixel stands for, 8 bits in between.
 *
 * Networks were trained with references made small this way; Android's own filter skips pixels instead.
 */
object Shrinking {
    private const val PRECISION = 22 // bits of the fixed-point weights, as in Pillow
    private const val HALF = 1 shl (PRECISION - 1)

    /** The whole picture at the size ([height], [width]). */
    fun resize(picture: Picture, height: Int, width: Int): Picture {
        val across = if (width == picture.width) picture else turned(resizeRows(turned(picture), width))
        return if (height == picture.height) across else resizeRows(across, height)
    }

    /** The largest version of the picture whose sides are at most [side]; itself where it is small enough. */
    fun fit(picture: Picture, side: Int): Picture {
        val longest = max(picture.height, picture.width)
        if (longest <= side) return picture
        val fitting = { length: Int -> max(1, Math.round(length.toDouble() * side / longest).toInt()) }
        return resize(picture, fitting(picture.height), fitting(picture.width))
    }

    /** By which power of two a decoder may shrink a picture without going below [side]. */
    fun sampleSize(height: Int, width: Int, side: Int): Int {
        var factor = 1
        while (max(height, width) / (2 * factor) >= side) factor *= 2
        return factor
    }

    private fun resizeRows(picture: Picture, height: Int): Picture {
        val (firsts, weights) = kernels(picture.height, height)
        val w = picture.width
        val out = IntArray(height * w)
        for (y in 0 until height) {
            val kernel = weights[y]
            for (x in 0 until w) {
                var red = HALF
                var green = HALF
                var blue = HALF
                for (k in kernel.indices) {
                    val pixel = picture.argb[(firsts[y] + k) * w + x]
                    red += Pixels.red(pixel) * kernel[k]
                    green += Pixels.green(pixel) * kernel[k]
                    blue += Pixels.blue(pixel) * kernel[k]
                }
                out[y * w + x] = Pixels.argb(clip(red), clip(green), clip(blue))
            }
        }
        return Picture(height, w, out)
    }

    private fun clip(sum: Int) = (sum shr PRECISION).coerceIn(0, 255)

    /** For every output pixel: the first input pixel that it sees, and the weights of that and the next ones. */
    private fun kernels(from: Int, to: Int): Pair<IntArray, Array<IntArray>> {
        val scale = from.toDouble() / to
        val stretch = max(scale, 1.0)
        val support = 2.0 * stretch
        val firsts = IntArray(to)
        val weights = Array(to) { i ->
            val centre = (i + 0.5) * scale
            val low = max(0, (centre - support + 0.5).toInt())
            val high = min(from, (centre + support + 0.5).toInt())
            firsts[i] = low
            // Reciprocals rather than divisions: the last bit decides some roundings.
            val raw = DoubleArray(high - low) { cubic((it + low - centre + 0.5) * (1 / stretch)) }
            val share = 1 / raw.sum()
            IntArray(raw.size) { rounded(raw[it] * share * (1 shl PRECISION)) }
        }
        return firsts to weights
    }

    private fun rounded(x: Double) = (if (x < 0) x - 0.5 else x + 0.5).toInt()

    /** Keys' cubic with a = -0.5. */
    private fun cubic(x: Double): Double {
        val d = abs(x)
        return when {
            d < 1 -> (1.5 * d - 2.5) * d * d + 1
            d < 2 -> ((-0.5 * d + 2.5) * d - 4) * d + 2
            else -> 0.0
        }
    }

    private fun turned(picture: Picture): Picture {
        val (h, w) = picture.height to picture.width
        return Picture(w, h, IntArray(h * w) { picture.argb[it % h * w + it / h] })
    }
}
