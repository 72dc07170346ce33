package org.edgescs

import android.content.ClipData
import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.content.Intent
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

/** Lets another app read one file of cache/shared, for as long as an intent grants it. */
class SharedFiles : ContentProvider() {
    override fun onCreate() = true

    override fun getType(uri: Uri): String = if (name(uri).endsWith(".png")) "image/png" else "application/json"

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        if (mode != "r") throw FileNotFoundException("read only")
        return ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.MODE_READ_ONLY)
    }

    override fun query(
        uri: Uri, columns: Array<String>?, where: String?, values: Array<String>?, order: String?,
    ): Cursor {
        val size = file(uri).length()
        val known = mapOf<String, Any>(OpenableColumns.DISPLAY_NAME to name(uri), OpenableColumns.SIZE to size)
        val asked = (columns ?: known.keys.toTypedArray()).filter { it in known }
        return MatrixCursor(asked.toTypedArray(), 1).apply { addRow(asked.map { known[it] }) }
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? = throw UnsupportedOperationException()

    override fun delete(uri: Uri, where: String?, values: Array<String>?): Int = throw UnsupportedOperationException()

    override fun update(uri: Uri, values: ContentValues?, where: String?, args: Array<String>?): Int =
        throw UnsupportedOperationException()

    private fun name(uri: Uri): String = uri.lastPathSegment ?: throw FileNotFoundException("$uri")

    /** Never beyond the folder, whatever the name says. */
    private fun file(uri: Uri): File {
        val folder = folder(context!!)
        val file = File(folder, name(uri))
        if (file.canonicalFile.parentFile != folder.canonicalFile || !file.isFile) throw FileNotFoundException("$uri")
        return file
    }

    companion object {
        fun folder(context: Context) = File(context.cacheDir, "shared").apply { mkdirs() }

        /** Let [write] make the file of that name. */
        fun put(context: Context, name: String, write: (File) -> Unit) = write(File(folder(context), name))

        /** The system's share sheet for a file that was put. */
        fun share(context: Context, name: String, type: String) {
            val uri = Uri.parse("content://${context.packageName}.shared/$name")
            val intent = Intent(Intent.ACTION_SEND).setType(type).putExtra(Intent.EXTRA_STREAM, uri)
            intent.clipData = ClipData.newRawUri(name, uri)
            intent.addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION)
            context.startActivity(Intent.createChooser(intent, null))
        }
    }
}
