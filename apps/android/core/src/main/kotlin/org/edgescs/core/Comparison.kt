package org.edgescs.core

/** Where a picture stands in a view, in the view's pixels. */
data class Frame(val left: Float, val top: Float, val right: Float, val bottom: Float)

/** The before/after slider's arithmetic: a picture fitted into a view, and a divider between 0 (left) and 1 (right). */
class Comparison(private val view: Size, private val picture: Size) {
    /** As large as it fits, its aspect kept, centred. */
    val frame: Frame = run {
        val scale = minOf(view.width.toFloat() / picture.width, view.height.toFloat() / picture.height)
        val (w, h) = picture.width * scale to picture.height * scale
        val (left, top) = (view.width - w) / 2 to (view.height - h) / 2
        Frame(left, top, left + w, top + h)
    }

    /** The divider's place for a finger at [x]. */
    fun divider(x: Float): Float =
        if (frame.right > frame.left) ((x - frame.left) / (frame.right - frame.left)).coerceIn(0f, 1f) else 0.5f

    /** Where in the view a divider stands. */
    fun x(divider: Float): Float = frame.left + divider * (frame.right - frame.left)

    companion object {
        /** One step of a keyboard or a screen reader. */
        fun stepped(divider: Float, forward: Boolean): Float = (divider + if (forward) STEP else -STEP).coerceIn(0f, 1f)

        fun percent(divider: Float): Int = Math.round(divider * 100)

        private const val STEP = 0.1f
    }
}
