package org.edgescs

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.ExifInterface
import android.net.Uri
import java.io.File
import java.io.IOException
import org.edgescs.core.ArtifactException
import org.edgescs.core.Orientation
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
            val orientation = resolver.openInputStream(uri)?.use(::orientation) ?: 1
            return Orientation.upright(Shrinking.fit(picture(bitmap), side), orientation)
        } catch (error: IOException) {
            throw ArtifactException("the picture cannot be read (${error.message}); choose another one")
        } catch (error: SecurityException) {
            throw ArtifactException("the picture may not be read (${error.message}); choose it again")
        }
    }

    /** A picture of the app's own, at most [side] pixels long. */
    fun read(stream: java.io.InputStream, side: Int): Picture =
        Shrinking.fit(picture(BitmapFactory.decodeStream(stream) ?: throw IOException("no picture")), side)

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
        return Picture.decoded(bitmap.height, bitmap.width, argb)
    }

    fun bitmap(picture: Picture): Bitmap =
        Bitmap.createBitmap(picture.argb, picture.width, picture.height, Bitmap.Config.ARGB_8888)

    /** Write a PNG; throws IOException. */
    fun write(picture: Picture, stream: java.io.OutputStream) {
        val written = bitmap(picture).compress(Bitmap.CompressFormat.PNG, 100, stream)
        if (!written) throw IOException("no room for the picture")
    }

    private fun orientation(stream: java.io.InputStream): Int =
        ExifInterface(stream).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
}
