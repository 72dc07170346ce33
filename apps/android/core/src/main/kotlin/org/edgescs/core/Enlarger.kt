package org.edgescs.core

import kotlin.math.min

/** The user no longer wants the answer. */
class CancelledException : Exception("cancelled")

/**
 * An artifact of one size applied to a picture of any size (edge_scs/inference/fixed_program.py): tiles that overlap,
 * blended linearly. A picture of exactly the artifact's size is one tile; a smaller one is continued by its border
 * pixels.
 */
class Enlarger(
    private val engine: Engine,
    private val choice: Choice,
    private val halo: Int,
    private val name: String,
) {
    /** The size of the answer to a picture: the artifact's own magnification, rounded, halves to even. */
    fun size(picture: Picture): Size = Size(
        Math.rint(picture.height.toDouble() * choice.hr.height / choice.lr.height).toInt(),
        Math.rint(picture.width.toDouble() * choice.hr.width / choice.lr.width).toInt(),
    )

    /**
     * The enlarged picture; with [keepColours] only its luma is the network's. [progress] hears (tiles done, tiles) and
     * may throw [CancelledException]. Throws [ArtifactException] for a picture that needs tiles where none fit, a
     * missing reference or an unwanted one.
     */
    fun enlarge(
        picture: Picture,
        reference: Picture? = null,
        keepColours: Boolean = false,
        progress: (Int, Int) -> Unit = { _, _ -> },
    ): Picture {
        val guide = guide(reference)
        val rows = axis(picture.height, choice.lr.height, choice.hr.height)
        val cols = axis(picture.width, choice.lr.width, choice.hr.width)
        val size = size(picture)
        val out = IntArray(size.height * size.width)
        val width = cols.hrStarts.last() + choice.hr.width
        val strip = Strip(choice.hr.height, width)
        val tiles = rows.starts.size * cols.starts.size
        for (i in rows.starts.indices) {
            if (i > 0) strip.advance(rows.hrStarts[i] - rows.hrStarts[i - 1], rows.hrStarts[i - 1], size, out)
            for (j in cols.starts.indices) {
                val part = Tiles.cut(picture, rows.starts[i], cols.starts[j], choice.lr)
                val rgb = engine.run(choice.method, listOf(tensor(part)) + guide)
                check(rgb)
                strip.add(rgb.values, choice.hr, cols.hrStarts[j], rows.weights[i], cols.weights[j])
                progress(i * cols.starts.size + j + 1, tiles)
            }
        }
        strip.write(choice.hr.height, rows.hrStarts.last(), size, out)
        val large = Picture(size.height, size.width, out)
        if (!keepColours) return large
        return Pixels.withChroma(large, Shrinking.resize(picture, size.height, size.width))
    }

    /** What the network sees of a picture of its size. */
    fun tensor(part: Picture): Tensor {
        val values = when (choice.channels) {
            1 -> Pixels.greyTensor(part)
            else -> Pixels.rgbTensor(Pixels.grey(part))
        }
        return Tensor(listOf(1, choice.channels, choice.lr.height, choice.lr.width), values)
    }

    /**
     * The inputs after the first: the reference at the size that the network takes, where it takes one; then planes of
     * zeros, which say that there are no colour hints, where it has a port for them.
     */
    fun guide(reference: Picture?): List<Tensor> {
        val size = choice.reference
        if (size == null && reference != null) {
            throw ArtifactException("$name: was exported without a reference input; take the reference away")
        }
        if (size != null && reference == null) {
            throw ArtifactException("$name: was exported with a reference input; choose a reference picture")
        }
        val colours = if (size == null || reference == null) null else {
            val small = Shrinking.resize(reference, size.height, size.width)
            Tensor(listOf(1, 3, size.height, size.width), Pixels.rgbTensor(small))
        }
        return listOfNotNull(colours, choice.hints?.let(Tensor::zeros))
    }

    private fun check(rgb: Tensor) {
        val expected = listOf(1, 3, choice.hr.height, choice.hr.width)
        if (rgb.shape == expected) return
        val why = "gave a tensor ${rgb.shape}, its manifest says $expected"
        throw ArtifactException("$name: $why; export the model again")
    }

    private fun axis(lr: Int, tile: Int, hrTile: Int): Axis =
        Tiling.axis(lr, tile, hrTile, halo)
            ?: throw ArtifactException("$name: only takes pictures up to ${choice.lr}; export a whole scale")
}

internal object Tiles {
    /** The part of a picture that begins at [top], [left]; beyond the border its last row and column are repeated. */
    fun cut(picture: Picture, top: Int, left: Int, size: Size): Picture {
        if (top == 0 && left == 0 && picture.height == size.height && picture.width == size.width) return picture
        val argb = IntArray(size.height * size.width) {
            val y = min(top + it / size.width, picture.height - 1)
            val x = min(left + it % size.width, picture.width - 1)
            picture.argb[y * picture.width + x]
        }
        return Picture(size.height, size.width, argb)
    }
}

/** Large rows that are not finished yet: RGB, planar, summed by weight. */
private class Strip(private val height: Int, private val width: Int) {
    private val sums = FloatArray(3 * height * width)

    fun add(rgb: FloatArray, tile: Size, left: Int, rowWeights: FloatArray, colWeights: FloatArray) {
        for (c in 0 until 3) {
            for (y in 0 until tile.height) {
                val from = (c * tile.height + y) * tile.width
                val to = (c * height + y) * width + left
                for (x in 0 until tile.width) sums[to + x] += rgb[from + x] * rowWeights[y] * colWeights[x]
            }
        }
    }

    /** The first [count] rows are finished: write them, move the others up. */
    fun advance(count: Int, top: Int, size: Size, out: IntArray) {
        write(count, top, size, out)
        for (c in 0 until 3) {
            val start = c * height * width
            sums.copyInto(sums, start, start + count * width, start + height * width)
            sums.fill(0f, start + (height - count) * width, start + height * width)
        }
    }

    fun write(count: Int, top: Int, size: Size, out: IntArray) {
        val plane = height * width
        for (y in 0 until min(count, size.height - top)) {
            for (x in 0 until size.width) {
                val i = y * width + x
                out[(top + y) * size.width + x] =
                    Pixels.argb(Pixels.level(sums[i]), Pixels.level(sums[plane + i]), Pixels.level(sums[2 * plane + i]))
            }
        }
    }
}
