package org.edgescs.core

import java.io.File
import java.io.FileOutputStream
import java.io.IOException

object AtomicFiles {
    /** Write a whole file under its final name or nothing. */
    fun write(file: File, text: String) {
        file.parentFile?.mkdirs()
        val temporary = File(file.path + ".partial")
        try {
            FileOutputStream(temporary).use {
                it.write(text.toByteArray())
                it.fd.sync()
            }
            if (!temporary.renameTo(file)) throw IOException("${file.name} cannot be replaced")
        } finally {
            temporary.delete()
        }
    }
}
