package org.edgescs.core

import java.io.File
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue

/** A file of apps/testdata, and its numbers and pixels as Kotlin's own. */
class Vectors(private val table: Map<*, *>) {
    operator fun get(key: String): Any? = table[key]

    operator fun contains(key: String) = key in table

    fun cases(key: String = "cases"): List<Vectors> = (table[key] as List<*>).map { Vectors(it as Map<*, *>) }

    fun text(key: String) = table[key] as String

    fun int(key: String) = (table[key] as Long).toInt()

    fun double(key: String) = (table[key] as Number).toDouble()

    fun ints(key: String): IntArray = (table[key] as List<*>).map { (it as Long).toInt() }.toIntArray()

    fun doubles(key: String): List<Double> = (table[key] as List<*>).map { (it as Number).toDouble() }

    fun floats(key: String): FloatArray = floats(table[key])

    fun size(key: String): Size = ints(key).let { (h, w) -> Size(h, w) }

    fun argb(key: String): IntArray = (table[key] as List<*>).map { (it as String).toLong(16).toInt() }.toIntArray()

    fun picture(size: String, argb: String): Picture = size(size).let { Picture(it.height, it.width, argb(argb)) }

    companion object {
        /** The folder apps/ of the clone. */
        val apps = File(System.getProperty("edgescs.apps") ?: error("say -Dedgescs.apps=FOLDER: the clone's apps/"))

        fun read(name: String) = Vectors(Json.read(File(apps, "testdata/$name.json").readText()) as Map<*, *>)

        fun floats(value: Any?): FloatArray = (value as List<*>).map { (it as Number).toFloat() }.toFloatArray()

        fun assertClose(what: String, expected: FloatArray, got: FloatArray, tolerance: Double) {
            assertEquals("$what: how many", expected.size, got.size)
            for (i in expected.indices) {
                val off = abs(expected[i].toDouble() - got[i])
                assertTrue("$what[$i] is ${got[i]}, must be ${expected[i]} to $tolerance", off <= tolerance)
            }
        }

        fun assertPixels(what: String, expected: IntArray, got: IntArray, levels: Int = 0) {
            assertEquals("$what: how many", expected.size, got.size)
            for (i in expected.indices) {
                val off = (0..24 step 8).maxOf { abs((expected[i] ushr it and 0xff) - (got[i] ushr it and 0xff)) }
                assertTrue("$what[$i] is ${hex(got[i])}, must be ${hex(expected[i])} to $levels levels", off <= levels)
            }
        }

        private fun hex(argb: Int) = argb.toUInt().toString(16)
    }
}
