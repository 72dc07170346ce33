package org.edgescs

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Matrix
import android.media.ExifInterface
import android.net.Uri
import java.io.File
import java.io.IOException
import org.edgescs.core.ArtifactException
import org.edgescs.core.Picture
import org.edgescs.core.Shrinking

/** Pictures of files and of other apps, as the core has them, and back. */
object Photographs {
    /** At most [side] pixels long, upright. Throws [ArtifactException] for what is no picture. */
    fun read(resolver: ContentResolver, uri: Uri, side: Int): Picture {
        try {
            val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
            resolver.openInputStream(uri)?.use { BitmapFactory.decodeStream(it, null, bounds) }
            val smaller = Shrinking.sampleSize(bounds.outHeight, bounds.outWidth, side)
            val options = BitmapFactory.Options().apply { inSampleSize = smaller }
            val bitmap = resolver.openInputStream(uri)?.use { BitmapFactory.decodeStream(it, null, options) }
                ?: throw ArtifactException("this file is no picture that Android can read; choose another one")
            val degrees = resolver.openInputStream(uri)?.use(::orientation) ?: 0
            return Shrinking.fit(picture(turned(bitmap, degrees)), side)
        } catch (error: IOException) {
            throw ArtifactException("the picture cannot be read (${error.message}); choose another one")
        } catch (error: SecurityException) {
            throw ArtifactException("the picture may not be read (${error.message}); choose it again")
        }
    }

    /** A PNG of a golden pair, every pixel as it is. */
    fun read(file: File): Picture {
        val options = BitmapFactory.Options().apply {
            inPremultiplied = false
            inScaled = false
        }
        val bitmap = BitmapFactory.decodeFile(file.path, options)
            ?: throw ArtifactException("${file.name}: is no picture; run edge-scs apps prepare")
        return picture(bitmap)
    }

    fun picture(bitmap: Bitmap): Picture {
        val argb = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(argb, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        return Picture(bitmap.height, bitmap.width, argb)
    }

    fun bitmap(picture: Picture): Bitmap =
        Bitmap.createBitmap(picture.argb, picture.width, picture.height, Bitmap.Config.ARGB_8888)

    /** Write a PNG; throws IOException. */
    fun write(picture: Picture, stream: java.io.OutputStream) {
        val written = bitmap(picture).compress(Bitmap.CompressFormat.PNG, 100, stream)
        if (!written) throw IOException("no room for the picture")
    }

    private fun orientation(stream: java.io.InputStream): Int =
        when (ExifInterface(stream).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)) {
            ExifInterface.ORIENTATION_ROTATE_90 -> 90
            ExifInterface.ORIENTATION_ROTATE_180 -> 180
            ExifInterface.ORIENTATION_ROTATE_270 -> 270
            else -> 0
        }

    private fun turned(bitmap: Bitmap, degrees: Int): Bitmap {
        if (degrees == 0) return bitmap
        val matrix = Matrix().apply { postRotate(degrees.toFloat()) }
        return Bitmap.createBitmap(bitmap, 0, 0, bitmap.width, bitmap.height, matrix, true)
    }
}
