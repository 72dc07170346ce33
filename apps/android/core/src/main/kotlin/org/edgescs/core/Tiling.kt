package org.edgescs.core

import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min

/**
 * The tiles of one axis: where they start, in pixels of the small picture and of the large one, and how much each
 * weighs at each of its large pixels. The weights of all tiles sum to one everywhere.
 */
class Axis(val starts: IntArray, val hrStarts: IntArray, val weights: Array<FloatArray>)

/**
 * A picture of any size cut into tiles of an artifact's one size (edge_scs/inference/tiles.py).
 *
 * The network sees one tile at a time, so neighbours overlap and fade into each other; pixels nearer to a tile's edge
 * than the network looks ([halo]) saw padding there, and weigh nothing where another tile covers them.
 */
object Tiling {
    /** Small pixels over which neighbouring tiles fade into each other, between the halos. */
    const val FADE = 16

    /** One axis: [lr] pixels, tiles that turn [tile] pixels into [hrTile]. Null where tiles that overlap do not fit. */
    fun axis(lr: Int, tile: Int, hrTile: Int, halo: Int): Axis? {
        val common = gcd(hrTile, tile)
        val (up, step) = hrTile / common to tile / common // up / step: the magnification; step: whole large pixels
        if (lr <= tile) return Axis(intArrayOf(0), intArrayOf(0), arrayOf(FloatArray(hrTile) { 1f }))
        val overlap = min(2 * halo + FADE, tile / 2)
        if (overlap + step >= tile) return null
        val starts = starts(lr, tile, overlap, step)
        val hrStarts = IntArray(starts.size) { starts[it] * up / step }
        val margin = max(0, min(halo, (overlap - FADE) / 2)) * up / step
        return Axis(starts, hrStarts, weights(hrStarts, hrTile, margin))
    }

    /** Starts that are multiples of [step], cover the axis and overlap by at least [overlap]. */
    private fun starts(lr: Int, tile: Int, overlap: Int, step: Int): IntArray {
        val reach = ceilDiv(lr - tile, step) * step
        val count = ceilDiv(reach, tile - overlap - step + 1) + 1
        return IntArray(count) { (reach.toLong() * it / (count - 1) / step * step).toInt() }
    }

    private fun weights(starts: IntArray, tile: Int, margin: Int): Array<FloatArray> {
        val raw = Array(starts.size) { DoubleArray(tile) }
        val sum = DoubleArray(starts.last() + tile)
        for (i in starts.indices) {
            val first = i == 0
            val last = i == starts.lastIndex
            // Towards a neighbour the ramp is as long as the overlap within both margins.
            val before = if (first) 1 else starts[i - 1] + tile - starts[i] - 2 * margin + 1
            val after = if (last) 1 else starts[i] + tile - starts[i + 1] - 2 * margin + 1
            for (x in 0 until tile) {
                val rise = if (first) 1.0 else ((x - margin + 1).toDouble() / before).coerceIn(0.0, 1.0)
                val fall = if (last) 1.0 else ((tile - x - margin).toDouble() / after).coerceIn(0.0, 1.0)
                raw[i][x] = rise * fall
                sum[starts[i] + x] += raw[i][x]
            }
        }
        return Array(starts.size) { i -> FloatArray(tile) { x -> (raw[i][x] / sum[starts[i] + x]).toFloat() } }
    }

    private fun ceilDiv(a: Int, b: Int) = ceil(a.toDouble() / b).toInt()

    private fun gcd(a: Int, b: Int): Int = if (b == 0) a else gcd(b, a % b)
}
