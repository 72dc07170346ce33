package org.edgescs.core

/** What is wrong with a text that should be JSON: one line. */
class JsonException(message: String) : Exception(message)

/**
 * JSON as Kotlin's own types: Map<String, Any?>, List<Any?>, String, Boolean, Long, Double and null.
 *
 * Strict: a key given twice, text after the value, NaN, and more than [Json.MAX_DEPTH] levels are refused. A number
 * without point and exponent is a Long; one that does not fit is a Double.
 */
object Json {
    const val MAX_DEPTH = 100

    /** Throws [JsonException]. */
    fun read(text: String): Any? = JsonReader(text).whole()

    /** One line, keys in the map's order. Throws [IllegalArgumentException] for NaN, infinity and foreign types. */
    fun write(value: Any?): String = StringBuilder().also { append(it, value) }.toString()

    private fun append(out: StringBuilder, value: Any?) {
        when (value) {
            null, is Boolean, is Int, is Long -> out.append(value)
            is Double -> out.append(number(value))
            is Float -> out.append(number(value.toString().toDouble()))
            is String -> quote(out, value)
            is Map<*, *> -> {
                out.append('{')
                value.entries.forEachIndexed { index, (key, item) ->
                    if (index > 0) out.append(", ")
                    quote(out, key as String)
                    out.append(": ")
                    append(out, item)
                }
                out.append('}')
            }
            is List<*> -> {
                out.append('[')
                value.forEachIndexed { index, item ->
                    if (index > 0) out.append(", ")
                    append(out, item)
                }
                out.append(']')
            }
            else -> throw IllegalArgumentException("JSON has no ${value.javaClass.simpleName}")
        }
    }

    private fun number(value: Double): String {
        require(!value.isNaN() && !value.isInfinite()) { "JSON has no $value" }
        return value.toString()
    }

    private fun quote(out: StringBuilder, text: String) {
        out.append('"')
        for (char in text) {
            when {
                char == '"' || char == '\\' -> out.append('\\').append(char)
                // Escaped, a lone half of a pair stays valid UTF-8 in the file.
                char < ' ' || char == '\u007f' || char.isSurrogate() -> out.append(escaped(char))
                else -> out.append(char)
            }
        }
        out.append('"')
    }

    private fun escaped(char: Char) = "\\u" + char.code.toString(16).padStart(4, '0')
}

private class JsonReader(private val text: String) {
    private var at = 0

    fun whole(): Any? {
        val value = value(0)
        skipSpace()
        if (at < text.length) fail("text after the value")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > Json.MAX_DEPTH) fail("more than ${Json.MAX_DEPTH} levels")
        skipSpace()
        return when (val char = peek()) {
            '{' -> table(depth)
            '[' -> list(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> if (char == '-' || char in '0'..'9') number() else fail("unexpected ${shown(char)}")
        }
    }

    private fun table(depth: Int): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        at++
        skipSpace()
        if (accept('}')) return found
        do {
            skipSpace()
            if (peek() != '"') fail("a key must be a text")
            val key = string()
            skipSpace()
            if (!accept(':')) fail("no ':' after a key")
            if (key in found) fail("a key is given twice: $key")
            found[key] = value(depth + 1)
            skipSpace()
        } while (accept(','))
        if (!accept('}')) fail("no ',' or '}'")
        return found
    }

    private fun list(depth: Int): List<Any?> {
        val found = ArrayList<Any?>()
        at++
        skipSpace()
        if (accept(']')) return found
        do {
            found.add(value(depth + 1))
            skipSpace()
        } while (accept(','))
        if (!accept(']')) fail("no ',' or ']'")
        return found
    }

    private fun string(): String {
        val out = StringBuilder()
        at++
        while (true) {
            val char = peek()
            at++
            when {
                char == '"' -> return out.toString()
                char == '\\' -> out.append(escape())
                char < ' ' -> fail("a control character in a text")
                else -> out.append(char)
            }
        }
    }

    private fun escape(): Char {
        val char = peek()
        at++
        return when (char) {
            '"', '\\', '/' -> char
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> {
                val digits = HEX.matchAt(text, at)?.value ?: fail("a bad \\u")
                at += 4
                digits.toInt(16).toChar()
            }
            else -> fail("a bad escape")
        }
    }

    private fun number(): Any {
        val match = NUMBER.matchAt(text, at) ?: fail("a bad number")
        at = match.range.last + 1
        if (at < text.length && (text[at] in '0'..'9' || text[at] == '.')) fail("a bad number")
        return if (match.value.any { it in ".eE" }) match.value.toDouble()
        else match.value.toLongOrNull() ?: match.value.toDouble()
    }

    private fun word(word: String, value: Any?): Any? {
        if (!text.startsWith(word, at)) fail("unexpected ${shown(text[at])}")
        at += word.length
        return value
    }

    private fun skipSpace() {
        while (at < text.length && text[at] in " \t\n\r") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else fail("it ends too early")

    private fun accept(char: Char): Boolean = (at < text.length && text[at] == char).also { if (it) at++ }

    private fun shown(char: Char) = if (char > ' ' && char < '\u007f') "'$char'" else "character ${char.code}"

    private fun fail(why: String): Nothing = throw JsonException("not valid JSON: $why (character ${at + 1})")

    private companion object {
        val HEX = Regex("[0-9a-fA-F]{4}")
        val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
    }
}
