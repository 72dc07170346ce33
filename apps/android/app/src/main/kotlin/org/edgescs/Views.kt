package org.edgescs

import android.app.Activity
import android.view.View
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Spinner

/** The view of that id, as what the layout makes it. */
inline fun <reified T : View> Activity.view(id: Int): T {
    val found: View = findViewById(id) // generic since API 26 only, and this compiles against older ones as well
    return found as T
}

/** Show [labels], the one at [selected] chosen; [chosen] hears what the user takes. */
fun Spinner.fill(labels: List<String>, selected: Int, chosen: (Int) -> Unit) {
    onItemSelectedListener = null
    adapter = ArrayAdapter(context, android.R.layout.simple_spinner_item, labels).apply {
        setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
    }
    setSelection(selected)
    onItemSelectedListener = object : AdapterView.OnItemSelectedListener {
        private var last = selected // Android reports the first selection too

        override fun onItemSelected(parent: AdapterView<*>, view: View?, position: Int, id: Long) {
            if (position == last) return
            last = position
            chosen(position)
        }

        override fun onNothingSelected(parent: AdapterView<*>) = Unit
    }
}
