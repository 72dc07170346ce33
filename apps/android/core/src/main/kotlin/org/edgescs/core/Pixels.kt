package org.edgescs.core

/** A picture of 8 bits a channel: [argb] row after row, as Android's Bitmap gives and takes them. */
class Picture(val height: Int, val width: Int, val argb: IntArray) {
    init {
        val whole = height > 0 && width > 0 && argb.size == height * width
        require(whole) { "a picture of ${width}x$height has no ${argb.size} pixels" }
    }

    companion object {
        /** What a decoder gave: what shines through becomes white, in place. */
        fun decoded(height: Int, width: Int, argb: IntArray): Picture {
            for (i in argb.indices) argb[i] = Pixels.onWhite(argb[i])
            return Picture(height, width, argb)
        }
    }
}

/** Pixels to the tensors that networks see, and back; tensors are planar (n, c, h, w), values in [0, 1]. */
object Pixels {
    // BT.601 full range, what JPEG and Pillow mean by luma and chroma (edge_scs/color.py).
    private val TO_YCC = arrayOf(
        floatArrayOf(0.299f, 0.587f, 0.114f),
        floatArrayOf(-0.168736f, -0.331264f, 0.5f),
        floatArrayOf(0.5f, -0.418688f, -0.081312f),
    )
    private val TO_RGB = arrayOf(
        floatArrayOf(1f, 0f, 1.402f),
        floatArrayOf(1f, -0.344136f, -0.714136f),
        floatArrayOf(1f, 1.772f, 0f),
    )

    /** Luma in 0..255, rounded as Pillow's convert("L") rounds. */
    fun grey(argb: Int): Int = (red(argb) * 19595 + green(argb) * 38470 + blue(argb) * 7471 + 0x8000) shr 16

    /** The picture without its colours. */
    fun grey(picture: Picture): Picture {
        val argb = IntArray(picture.argb.size) { grey(picture.argb[it]).let { y -> argb(y, y, y) } }
        return Picture(picture.height, picture.width, argb)
    }

    /** What shines through is white, as in the package; afterwards every pixel is opaque. */
    fun onWhite(argb: Int): Int {
        val alpha = argb ushr 24
        if (alpha == 0xff) return argb
        val mixed = { level: Int -> (level * alpha + 255 * (255 - alpha) + 127) / 255 }
        return argb(mixed(red(argb)), mixed(green(argb)), mixed(blue(argb)))
    }

    /** Every colour's distance from its grey times [vividness]: the manifest's formula. 1 changes nothing. */
    fun vivid(picture: Picture, vividness: Float): Picture {
        if (vividness == 1f) return picture
        return Picture(picture.height, picture.width, IntArray(picture.argb.size) {
            val pixel = picture.argb[it]
            val luma = 0.299f * red(pixel) + 0.587f * green(pixel) + 0.114f * blue(pixel)
            argb(
                vivid(red(pixel), luma, vividness), vivid(green(pixel), luma, vividness),
                vivid(blue(pixel), luma, vividness),
            )
        })
    }

    private fun vivid(value: Int, luma: Float, vividness: Float) =
        Math.rint((luma + vividness * (value - luma)).toDouble()).toInt().coerceIn(0, 255)

    /** (1, 1, h, w) luma. */
    fun greyTensor(picture: Picture): FloatArray = FloatArray(picture.argb.size) { grey(picture.argb[it]) / 255f }

    /** (1, 3, h, w) RGB. */
    fun rgbTensor(picture: Picture): FloatArray {
        val n = picture.argb.size
        val out = FloatArray(3 * n)
        for (i in 0 until n) {
            val pixel = picture.argb[i]
            out[i] = red(pixel) / 255f
            out[n + i] = green(pixel) / 255f
            out[2 * n + i] = blue(pixel) / 255f
        }
        return out
    }

    /** (1, 3, h, w) RGB, clamped and rounded to nearest, halves to even. */
    fun picture(height: Int, width: Int, rgb: FloatArray): Picture {
        val n = height * width
        return Picture(height, width, IntArray(n) { argb(level(rgb[it]), level(rgb[n + it]), level(rgb[2 * n + it])) })
    }

    /** (1, 3, h, w): RGB to luma in [0, 1] and chroma in [-0.5, 0.5]. */
    fun yccFromRgb(rgb: FloatArray): FloatArray = mix(rgb, TO_YCC)

    /** The way back, not clamped. */
    fun rgbFromYcc(ycc: FloatArray): FloatArray = mix(ycc, TO_RGB)

    /** The luma of one picture and the chroma of another one of its size. */
    fun withChroma(picture: Picture, coloured: Picture): Picture {
        require(picture.height == coloured.height && picture.width == coloured.width) { "pictures of two sizes" }
        val w = picture.width
        val argb = IntArray(picture.argb.size)
        for (y in 0 until picture.height) { // by rows, which need little memory
            val (luma, chroma) = listOf(picture, coloured).map { yccFromRgb(rgbTensor(row(it, y))) }
            luma.copyInto(chroma, endIndex = w)
            picture(1, w, rgbFromYcc(chroma)).argb.copyInto(argb, y * w)
        }
        return Picture(picture.height, w, argb)
    }

    private fun row(picture: Picture, y: Int) =
        Picture(1, picture.width, picture.argb.copyOfRange(y * picture.width, (y + 1) * picture.width))

    fun level(value: Float): Int = Math.rint((value.coerceIn(0f, 1f) * 255f).toDouble()).toInt()

    fun argb(red: Int, green: Int, blue: Int): Int = (0xff shl 24) or (red shl 16) or (green shl 8) or blue

    fun red(argb: Int): Int = argb shr 16 and 0xff

    fun green(argb: Int): Int = argb shr 8 and 0xff

    fun blue(argb: Int): Int = argb and 0xff

    private fun mix(planes: FloatArray, matrix: Array<FloatArray>): FloatArray {
        val n = planes.size / 3
        val out = FloatArray(3 * n)
        for (c in 0 until 3) {
            val (a, b, d) = matrix[c]
            for (i in 0 until n) out[c * n + i] = a * planes[i] + b * planes[n + i] + d * planes[2 * n + i]
        }
        return out
    }
}
