package org.edgescs.core

/** EXIF orientations 1 to 8 (Exif 2.3, 4.6.4), mirrored ones included. */
object Orientation {
    /** The picture as it was taken; for any other number than 2 to 8 the picture itself. */
    fun upright(picture: Picture, orientation: Int): Picture {
        if (orientation !in 2..8) return picture
        val (h, w) = picture.height to picture.width
        val (height, width) = if (orientation >= 5) w to h else h to w
        return Picture(height, width, IntArray(h * w) {
            val (y, x) = it / width to it % width
            val (row, col) = when (orientation) {
                2 -> y to w - 1 - x
                3 -> h - 1 - y to w - 1 - x
                4 -> h - 1 - y to x
                5 -> x to y
                6 -> h - 1 - x to y
                7 -> h - 1 - x to w - 1 - y
                else -> x to w - 1 - y
            }
            picture.argb[row * w + col]
        })
    }
}
