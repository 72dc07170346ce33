package org.edgescs.core

import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

/** What a manifest's `continuous` says. [takesHints]: whether the method `colour` has a port for colour hints. */
data class ContinuousFacts(
    val halo: Int, val tile: Int, val chunk: Int, val colourSide: Int, val gridSides: IntRange,
    val shuffleScales: List<Int>, val takesHints: Boolean = false,
)

/** A matrix, row after row. */
class Matrix(val rows: Int, val cols: Int, val values: FloatArray = FloatArray(rows * cols)) {
    fun tensor() = Tensor(listOf(rows, cols), values)
}

/**
 * A continuous program driven: any size, any magnification (docs/drive-it-yourself.md, which this follows).
 * Colour once for the whole picture, then tile by tile, each of which sees what the whole picture would show it.
 */
class Continuous(private val engine: Engine, private val facts: ContinuousFacts, private val name: String) {
    /** The picture [by] times as large, sides rounded, halves to even. */
    fun enlarge(picture: Picture, by: Double, progress: (Int, Int) -> Unit = { _, _ -> }): Picture {
        val size = Size(Math.rint(picture.height * by).toInt(), Math.rint(picture.width * by).toInt())
        return enlarge(picture, size, progress)
    }

    /** The picture at [size]; only its luma is used. [progress] hears (tiles done, tiles) and may throw. */
    fun enlarge(picture: Picture, size: Size, progress: (Int, Int) -> Unit = { _, _ -> }): Picture {
        val lr = Size(picture.height, picture.width)
        val gray = Planes(1, lr.height, lr.width, Pixels.greyTensor(picture))
        val chroma = colour(gray, lr)
        val whole = facts.shuffleScales.firstOrNull { lr.height * it == size.height && lr.width * it == size.width }
        val (rows, cols) = tiles(lr.height, size.height) to tiles(lr.width, size.width)
        val out = IntArray(size.height * size.width)
        rows.forEachIndexed { i, row ->
            cols.forEachIndexed { j, col ->
                val uv = Bilinear.apply(
                    Bilinear.weights(row.low, row.high, chroma.height, lr.height),
                    chroma,
                    Bilinear.weights(col.low, col.high, chroma.width, lr.width),
                )
                val part = gray.cut(row.low, row.high, col.low, col.high)
                val (features, base, grid) = engine.runAll("encode", listOf(part.tensor(), uv.tensor()))
                if (whole != null) {
                    val rgb = Planes.of(engine.run("x$whole", listOf(features, base)))
                    val (top, left) = row.start - row.low * whole to col.start - col.low * whole
                    val kept = rgb.cut(top, top + row.stop - row.start, left, left + col.stop - col.start)
                    write(kept, row.start, col.start, size, out)
                } else {
                    val fine = Planes.of(engine.run("finest", listOf(features, base)))
                    val (down, across) = Tile(row, lr.height, size.height) to Tile(col, lr.width, size.width)
                    decode(Planes.of(grid), fine, down, across, size, out)
                }
                progress(i * cols.size + j + 1, rows.size * cols.size)
            }
        }
        return Picture(size.height, size.width, out)
    }

    /** The picture on the colour grid, and its coarse chroma. */
    private fun colour(gray: Planes, lr: Size): Planes {
        val side = sqrt(lr.height.toDouble() * lr.width) / facts.colourSide
        val (gridH, gridW) = Math.rint(lr.height / side).toInt() to Math.rint(lr.width / side).toInt()
        if (gridH !in facts.gridSides || gridW !in facts.gridSides) {
            throw ArtifactException("$name: this picture of $lr is too long and thin; cut it in two")
        }
        val cell = max(1, side.toInt())
        val small = if (cell == 1) gray else gray.averaged(cell)
        val grid = Bilinear.apply(
            Bilinear.weights(0, gridH, small.height, gridH), small, Bilinear.weights(0, gridW, small.width, gridW),
        )
        val climbs = listOf(gridH, gridW).flatMap { n ->
            listOf(8, 4).map { Bilinear.weights(0, up(n, it), up(n, 2 * it), up(n, it)).tensor() }
        }
        val none = if (facts.takesHints) listOf(Tensor.zeros(Size(up(gridH, 4), up(gridW, 4)))) else emptyList()
        return Planes.of(engine.run("colour", listOf(grid.tensor()) + climbs + none))
    }

    private class Span(val start: Int, val stop: Int, val low: Int, val high: Int)

    private class Tile(val span: Span, val lr: Int, val hr: Int)

    private fun tiles(lr: Int, hr: Int): List<Span> {
        val count = if (lr <= facts.tile) 1 else up(lr, facts.tile - 2 * (facts.halo + 1))
        val edges = List(count + 1) { Math.rint(Math.rint(lr.toDouble() * it / count) * hr / lr).toInt() }
        return edges.zipWithNext { start, stop ->
            Bilinear.seen(start, stop, lr, hr, facts.halo).let { Span(start, stop, it.first, it.last + 1) }
        }
    }

    private fun decode(grid: Planes, fine: Planes, row: Tile, col: Tile, size: Size, out: IntArray) {
        for (y in row.span.start until row.span.stop step facts.chunk) {
            for (x in col.span.start until col.span.stop step facts.chunk) {
                val down = Chunk(y, min(y + facts.chunk, row.span.stop), row)
                val across = Chunk(x, min(x + facts.chunk, col.span.stop), col)
                val inputs = ArrayList<Tensor>()
                for ((source, views) in listOf(grid to 0, fine to 1)) {
                    val (v, h) = down.views[views] to across.views[views]
                    inputs += source.cut(v.low, v.high, h.low, h.high).tensor()
                    inputs += v.weights.tensor()
                    inputs += h.weights.tensor()
                }
                inputs += Tensor(listOf(1, 2, 1, down.count), down.positions)
                inputs += Tensor(listOf(1, 2, across.count, 1), across.positions)
                write(Planes.of(engine.run("decode", inputs)), y, x, size, out)
            }
        }
    }

    /** Along one axis: where decode looks in grid and in fine, from the tile's first pixel on, and its positions. */
    private class Chunk(start: Int, stop: Int, tile: Tile) {
        class View(val low: Int, val high: Int, val weights: Matrix)

        val count = stop - start
        val views = listOf(1, 4).map { k ->
            val seen = Bilinear.seen(start, stop, tile.lr * k, tile.hr)
            val weights = Bilinear.weights(start, stop, tile.lr * k, tile.hr, seen.first, seen.last + 1)
            View(seen.first - tile.span.low * k, seen.last + 1 - tile.span.low * k, weights)
        }
        val positions = Bilinear.positions(start, stop, tile.lr, tile.hr)
    }

    private fun write(rgb: Planes, top: Int, left: Int, size: Size, out: IntArray) {
        val plane = rgb.height * rgb.width
        for (y in 0 until rgb.height) for (x in 0 until rgb.width) {
            val level = { c: Int -> Pixels.level(rgb.values[c * plane + y * rgb.width + x]) }
            out[(top + y) * size.width + left + x] = Pixels.argb(level(0), level(1), level(2))
        }
    }

    private fun up(n: Int, by: Int) = ceil(n.toDouble() / by).toInt()
}

/** Where HR pixels look along one axis; pixel centres are at half-integers. */
object Bilinear {
    /** Weights of the LR pixels [low] until [high] for HR pixels [start] until [stop], of an axis of [lr] and [hr]. */
    fun weights(start: Int, stop: Int, lr: Int, hr: Int, low: Int = 0, high: Int = lr): Matrix {
        val found = Matrix(stop - start, high - low)
        for (i in start until stop) {
            val at = ((i + 0.5) * lr / hr - 0.5).coerceIn(0.0, lr - 1.0)
            val near = floor(at).toInt()
            val row = (i - start) * found.cols
            found.values[row + near - low] = (1 - (at - near)).toFloat()
            found.values[row + min(near + 1, lr - 1) - low] += (at - near).toFloat()
        }
        return found
    }

    /** The LR pixels between which HR pixels [start] until [stop] lie, and [halo] more; at least two, for decode. */
    fun seen(start: Int, stop: Int, lr: Int, hr: Int, halo: Int = 0): IntRange {
        val first = floor((start + 0.5) * lr / hr - 0.5).toInt()
        val last = floor((stop - 0.5) * lr / hr - 0.5).toInt()
        val low = max(0, min(first - halo, lr - 2))
        return low until max(low + 2, min(lr, last + 2 + halo))
    }

    /** The place inside the LR pixel, in [-1, 1), for every HR pixel; then lr / hr as often. */
    fun positions(start: Int, stop: Int, lr: Int, hr: Int): FloatArray {
        val n = stop - start
        return FloatArray(2 * n) {
            if (it >= n) (lr.toDouble() / hr).toFloat()
            else (((start + it + 0.5) * lr / hr + 1e-9) % 1.0 * 2 - 1).toFloat()
        }
    }

    /** rows x, x columns transposed: every plane resized. */
    fun apply(rows: Matrix, x: Planes, cols: Matrix): Planes {
        val out = Planes(x.channels, rows.rows, cols.rows)
        val half = FloatArray(rows.rows * x.width)
        for (c in 0 until x.channels) {
            half.fill(0f)
            for (i in 0 until rows.rows) for (k in 0 until x.height) {
                val weight = rows.values[i * rows.cols + k]
                if (weight != 0f) for (j in 0 until x.width) {
                    half[i * x.width + j] += weight * x.values[(c * x.height + k) * x.width + j]
                }
            }
            for (j in 0 until cols.rows) for (k in 0 until x.width) {
                val weight = cols.values[j * cols.cols + k]
                if (weight != 0f) for (i in 0 until rows.rows) {
                    out.values[(c * out.height + i) * out.width + j] += weight * half[i * x.width + k]
                }
            }
        }
        return out
    }
}

/** A tensor (1, [channels], [height], [width]). */
class Planes(
    val channels: Int, val height: Int, val width: Int, val values: FloatArray = FloatArray(channels * height * width),
) {
    fun tensor() = Tensor(listOf(1, channels, height, width), values)

    /** Rows [top] until [bottom], columns [left] until [right]; zero beyond the border. */
    fun cut(top: Int, bottom: Int, left: Int, right: Int): Planes {
        val out = Planes(channels, bottom - top, right - left)
        val until = min(right, width)
        for (c in 0 until channels) for (y in top until min(bottom, height)) {
            val from = (c * height + y) * width
            values.copyInto(out.values, (c * out.height + y - top) * out.width, from + left, from + until)
        }
        return out
    }

    /** Means over cells of [cell] x [cell] pixels, those at the border cut. */
    fun averaged(cell: Int): Planes {
        val out = Planes(channels, (height + cell - 1) / cell, (width + cell - 1) / cell)
        val counts = IntArray(out.height * out.width)
        for (y in 0 until height) for (x in 0 until width) counts[y / cell * out.width + x / cell]++
        for (c in 0 until channels) for (y in 0 until height) for (x in 0 until width) {
            val to = y / cell * out.width + x / cell
            out.values[c * counts.size + to] += values[(c * height + y) * width + x] / counts[to]
        }
        return out
    }

    companion object {
        fun of(tensor: Tensor) = Planes(tensor.shape[1], tensor.shape[2], tensor.shape[3], tensor.values)
    }
}
