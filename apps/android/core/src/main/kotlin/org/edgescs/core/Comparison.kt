package org.edgescs.core

/** Where a picture stands in a view, in the view's pixels. */
data class Frame(val left: Float, val top: Float, val right: Float, val bottom: Float)

/**
 * The before/after slider's arithmetic: a picture fitted into a view, perhaps magnified and moved by two fingers, and a
 * divider between 0 (left) and 1 (right) of what is seen of it.
 */
class Comparison(private val view: Size, private val picture: Size) {
    private val fit = minOf(view.width.toFloat() / picture.width, view.height.toFloat() / picture.height)

    /** 1: as large as it fits. */
    var zoom = 1f
        private set
    private var centreX = 0.5f // of the picture, in the middle of the view
    private var centreY = 0.5f

    /** Where the picture stands, its aspect kept; at [zoom] 1 centred, beyond it without a gap to the view's border. */
    val frame: Frame
        get() {
            val (w, h) = picture.width * fit * zoom to picture.height * fit * zoom
            val (left, top) = view.width / 2f - centreX * w to view.height / 2f - centreY * h
            return Frame(left, top, left + w, top + h)
        }

    /** The part of the view that the picture covers. */
    val seen: Frame
        get() = frame.run {
            Frame(maxOf(left, 0f), maxOf(top, 0f), minOf(right, view.width + 0f), minOf(bottom, view.height + 0f))
        }

    /** Magnify by [factor] around a point of the view, which stays where it is. From 1 to [MAX_ZOOM] pixels a pixel. */
    fun magnify(factor: Float, x: Float, y: Float) {
        val before = frame
        val (u, v) = (x - before.left) / (before.right - before.left) to (y - before.top) / (before.bottom - before.top)
        zoom = (zoom * factor).coerceIn(1f, maxOf(1f, MAX_ZOOM / fit))
        val (w, h) = picture.width * fit * zoom to picture.height * fit * zoom
        centreOn(u + (view.width / 2f - x) / w, v + (view.height / 2f - y) / h)
    }

    /** Move the picture by pixels of the view. */
    fun pan(dx: Float, dy: Float) = centreOn(
        centreX - dx / (picture.width * fit * zoom), centreY - dy / (picture.height * fit * zoom),
    )

    private fun centreOn(x: Float, y: Float) {
        centreX = within(x, view.width / (picture.width * fit * zoom))
        centreY = within(y, view.height / (picture.height * fit * zoom))
    }

    /** [share]: how much of the picture the view shows along this axis. */
    private fun within(centre: Float, share: Float) =
        if (share >= 1f) 0.5f else centre.coerceIn(share / 2, 1 - share / 2)

    /** The divider's place for a finger at [x]. */
    fun divider(x: Float): Float =
        seen.run { if (right > left) ((x - left) / (right - left)).coerceIn(0f, 1f) else 0.5f }

    /** Where in the view a divider stands. */
    fun x(divider: Float): Float = seen.run { left + divider * (right - left) }

    companion object {
        /** One step of a keyboard or a screen reader. */
        fun stepped(divider: Float, forward: Boolean): Float = (divider + if (forward) STEP else -STEP).coerceIn(0f, 1f)

        fun percent(divider: Float): Int = Math.round(divider * 100)

        const val MAX_ZOOM = 8f // of a picture's pixel, in pixels of the view
        private const val STEP = 0.1f
    }
}
