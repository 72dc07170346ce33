package org.edgescs

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Paint
import android.graphics.RectF
import android.os.Bundle
import android.util.AttributeSet
import android.view.KeyEvent
import android.view.MotionEvent
import android.view.ScaleGestureDetector
import android.view.View
import android.view.accessibility.AccessibilityEvent
import android.view.accessibility.AccessibilityNodeInfo
import android.widget.SeekBar
import org.edgescs.core.Comparison
import org.edgescs.core.Picture
import org.edgescs.core.Size

/** Two versions of one picture and a divider to drag: left of it [before], right of it the answer. */
class BeforeAfterView @JvmOverloads constructor(context: Context, attributes: AttributeSet? = null) :
    View(context, attributes) {
    private var shown: Pair<Picture?, Picture?> = null to null
    private var before: Bitmap? = null
    private var after: Bitmap? = null
    private var comparison: Comparison? = null
    private var divider = 0.5f
    private val filter = Paint(Paint.FILTER_BITMAP_FLAG)
    private val line = Paint(Paint.ANTI_ALIAS_FLAG).apply { strokeWidth = resources.getDimension(R.dimen.divider) }
    private val knob = resources.getDimension(R.dimen.knob)
    private val frame = RectF()
    private var touched = false // by more than one finger since the first came down
    private val pinch = ScaleGestureDetector(context, object : ScaleGestureDetector.SimpleOnScaleGestureListener() {
        private var x = 0f
        private var y = 0f

        override fun onScaleBegin(detector: ScaleGestureDetector): Boolean {
            x = detector.focusX
            y = detector.focusY
            return true
        }

        override fun onScale(detector: ScaleGestureDetector): Boolean {
            comparison?.pan(detector.focusX - x, detector.focusY - y)
            comparison?.magnify(detector.scaleFactor, detector.focusX, detector.focusY)
            x = detector.focusX
            y = detector.focusY
            invalidate()
            return true
        }
    })

    init {
        describe()
        line.color = context.getColor(R.color.divider)
        isFocusable = true
        importantForAccessibility = IMPORTANT_FOR_ACCESSIBILITY_YES
    }

    /** Show [before] alone, or both once there is an answer. */
    fun show(before: Picture?, after: Picture?) {
        if (shown.first === before && shown.second === after) return
        shown = before to after
        this.before = before?.let(Photographs::bitmap)
        this.after = after?.let(Photographs::bitmap)
        fit()
        describe()
        invalidate()
    }

    private fun fit() {
        val shown = after ?: before
        comparison = shown?.takeIf { width > 0 && height > 0 }
            ?.let { Comparison(Size(height, width), Size(it.height, it.width)) } // not magnified any more
    }

    private fun describe() {
        val percent = Comparison.percent(divider)
        contentDescription = when {
            before == null -> context.getString(R.string.comparison_empty)
            after == null -> context.getString(R.string.comparison_before)
            else -> context.getString(R.string.comparison_both, percent)
        }
    }

    override fun onSizeChanged(width: Int, height: Int, oldWidth: Int, oldHeight: Int) = fit()

    override fun onDraw(canvas: Canvas) {
        val comparison = comparison ?: return
        comparison.frame.run { frame.set(left, top, right, bottom) }
        filter.isFilterBitmap = comparison.zoom <= 1f // magnified: the pixels themselves
        val x = if (after == null) frame.right else comparison.x(divider)
        after?.let { canvas.drawBitmap(it, null, frame, filter) }
        canvas.save()
        canvas.clipRect(frame.left, frame.top, x, frame.bottom)
        before?.let { canvas.drawBitmap(it, null, frame, filter) }
        canvas.restore()
        if (after == null) return
        canvas.drawLine(x, frame.top, x, frame.bottom, line)
        canvas.drawCircle(x, comparison.seen.run { (top + bottom) / 2 }, knob, line)
    }

    private fun move(to: Float) {
        divider = to
        describe()
        invalidate()
        sendAccessibilityEvent(AccessibilityEvent.TYPE_VIEW_SELECTED)
    }

    override fun onTouchEvent(event: MotionEvent): Boolean {
        val comparison = comparison ?: return false
        parent.requestDisallowInterceptTouchEvent(true)
        pinch.onTouchEvent(event)
        if (event.actionMasked == MotionEvent.ACTION_DOWN) touched = false
        if (event.pointerCount > 1) touched = true // two fingers magnify and move, one drags the divider
        when (event.actionMasked) {
            MotionEvent.ACTION_DOWN, MotionEvent.ACTION_MOVE ->
                if (!touched && after != null) move(comparison.divider(event.x))
            MotionEvent.ACTION_UP -> performClick()
        }
        return true
    }

    override fun performClick(): Boolean {
        super.performClick()
        return true
    }

    override fun onKeyDown(code: Int, event: KeyEvent): Boolean {
        val forward = code == KeyEvent.KEYCODE_DPAD_RIGHT
        if (after == null || !forward && code != KeyEvent.KEYCODE_DPAD_LEFT) return super.onKeyDown(code, event)
        move(Comparison.stepped(divider, forward))
        return true
    }

    // To a screen reader it is a slider.
    override fun getAccessibilityClassName(): CharSequence = SeekBar::class.java.name

    override fun onInitializeAccessibilityNodeInfo(info: AccessibilityNodeInfo) {
        super.onInitializeAccessibilityNodeInfo(info)
        if (after == null) return
        val percent = Comparison.percent(divider).toFloat()
        val range = AccessibilityNodeInfo.RangeInfo.RANGE_TYPE_PERCENT
        info.rangeInfo = AccessibilityNodeInfo.RangeInfo.obtain(range, 0f, 100f, percent)
        info.addAction(AccessibilityNodeInfo.AccessibilityAction.ACTION_SCROLL_FORWARD)
        info.addAction(AccessibilityNodeInfo.AccessibilityAction.ACTION_SCROLL_BACKWARD)
    }

    override fun performAccessibilityAction(action: Int, arguments: Bundle?): Boolean {
        val forward = action == AccessibilityNodeInfo.ACTION_SCROLL_FORWARD
        if (after == null || !forward && action != AccessibilityNodeInfo.ACTION_SCROLL_BACKWARD) {
            return super.performAccessibilityAction(action, arguments)
        }
        move(Comparison.stepped(divider, forward))
        return true
    }
}
