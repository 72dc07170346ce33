package org.edgescs.core

import java.io.File

/** The result or the error of the newest run: an older one that ends late, cancelled or not, writes nothing. */
class RunFiles(private val folder: File, private vararg val names: String) {
    private var newest = 0

    /** A new run: what earlier ones wrote is removed. Returns its number. */
    @Synchronized
    fun begin(): Int {
        for (name in names) File(folder, name).delete()
        return ++newest
    }

    /** Write [text] as [name] and remove the other files; false where [run] is no longer the newest. */
    @Synchronized
    fun write(run: Int, name: String, text: String): Boolean {
        if (run != newest) return false
        for (other in names) if (other != name) File(folder, other).delete()
        AtomicFiles.write(File(folder, name), text)
        return true
    }
}
