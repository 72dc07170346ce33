package org.edgescs.core

/** An artifact that cannot be used, why, and the fix: one line for the screen. */
class ArtifactException(message: String) : Exception(message)

/** Rows and columns, in pixels. */
data class Size(val height: Int, val width: Int) {
    override fun toString() = "${width}x$height"
}

/** One input or output: [shape] (n, c, h, w). */
data class Port(val name: String, val shape: List<Int>, val dtype: String) {
    val isPicture get() = shape.size == 4 && shape[0] == 1
    val channels get() = shape[1]
    val size get() = Size(shape[2], shape[3])
}

/** An entry point of the artifact. [scale] is null where any will do. */
data class Method(val name: String, val scale: Double?, val inputs: List<Port>, val outputs: List<Port>)

/**
 * What an app needs of an artifact's manifest, `<artifact>.json` (docs/export.md). Keys that it does not know are left
 * alone, so that later manifests can be read.
 */
data class Manifest(
    val artifact: String,
    val target: String,
    val backend: String,
    val preset: String,
    val precision: String,
    val model: String,
    val sha256: String,
    val minPsnrDb: Double,
    val golden: String?,
    val halo: Int?,
    val parityDb: Double?,
    val verdict: String?,
    val facts: ContinuousFacts?,
    val restoration: Double,
    val methods: List<Method>,
) {
    val continuous get() = facts != null

    companion object {
        const val MAX_BYTES = 1 shl 20

        /** Of the manifest's format; a later one may mean something else by the same keys. */
        const val VERSION = 2

        /** Throws [ArtifactException], which names the file [name] and the key that is wrong. */
        fun read(text: String, name: String): Manifest {
            if (text.length > MAX_BYTES) throw tooLarge(name)
            val table = try {
                Json.read(text)
            } catch (error: JsonException) {
                throw ArtifactException("$name: ${error.message}; export the model again")
            }
            return ManifestReader(name).manifest(table)
        }

        fun tooLarge(name: String) =
            ArtifactException("$name: larger than 1 MB, no manifest of ours; export the model again")
    }
}

/** Every value is fetched by a function that knows its kind; what does not fit ends in one message. */
private class ManifestReader(private val file: String) {
    fun manifest(value: Any?): Manifest {
        val table = value as? Map<*, *>
            ?: throw ArtifactException("$file: is no manifest of ours; export the model again")
        val version = optional(table, "manifest_version") ?: 1L
        if (whole(version)?.let { it in 1..Manifest.VERSION } != true) wrong("manifest_version", version)
        val parity = optional(table, "parity") as? Map<*, *>
        val methods = list(table, "methods").map(::method)
        return Manifest(
            artifact = text(table, "artifact"),
            target = oneOf(table, "target", "executorch", "coreml"),
            backend = oneOf(table, "backend", "xnnpack", "vulkan", "coreml", "mlprogram"),
            preset = text(table, "preset"),
            precision = oneOf(table, "precision", "fp32", "fp16", "int8"),
            model = text(table, "model"),
            sha256 = text(table, "sha256").also { if (!SHA256.matches(it)) wrong("sha256", it) },
            minPsnrDb = number(table, "min_psnr_db"),
            golden = optional(table, "golden")?.let { it as? String ?: wrong("golden", it) },
            halo = optional(table, "halo")?.let { whole(it)?.takeIf { n -> n >= 0 } ?: wrong("halo", it) },
            parityDb = parity?.let { optional(it, "psnr_db") as? Number }?.toDouble(),
            verdict = parity?.let { optional(it, "verdict") as? String },
            facts = optional(table, "continuous")?.let { facts(it as? Map<*, *> ?: wrong("continuous", it), methods) },
            restoration = if (optional(table, "restoration") == null) 0.0 else number(table, "restoration"),
            methods = methods,
        )
    }

    private fun facts(table: Map<*, *>, methods: List<Method>): ContinuousFacts {
        val count = { key: String -> whole(required(table, key))?.takeIf { it >= 0 } ?: wrong(key, table[key]) }
        val all = { key: String -> list(table, key).map { whole(it)?.takeIf { n -> n > 0 } ?: wrong(key, table[key]) } }
        val sides = all("colour_grid_sides")
        return ContinuousFacts(
            count("halo"), count("tile"), count("chunk"), count("colour_side"), sides.first()..sides.last(),
            all("shuffle_scales"),
            methods.any { it.name == "colour" && it.inputs.any { port -> port.name == "hints" } },
        )
    }

    private fun method(value: Any?): Method {
        val table = value as? Map<*, *> ?: wrong("methods", value)
        val scale = optional(table, "scale")?.let { (it as? Number)?.toDouble() ?: wrong("scale", it) }
        return Method(text(table, "name"), scale, list(table, "inputs").map(::port), list(table, "outputs").map(::port))
    }

    private fun port(value: Any?): Port {
        val table = value as? Map<*, *> ?: wrong("inputs", value)
        val shape = list(table, "shape")
        val sides = shape.map { side -> whole(side)?.takeIf { it in 1..MAX_SIDE } ?: wrong("shape", shape) }
        if (sides.size !in 2..4) wrong("shape", shape)
        return Port(text(table, "name"), sides, oneOf(table, "dtype", "float32", "float16", "image"))
    }

    private fun optional(table: Map<*, *>, key: String): Any? = table[key]

    private fun required(table: Map<*, *>, key: String): Any =
        if (key in table) table[key] ?: wrong(key, null)
        else throw ArtifactException("$file: lacks '$key'; export the model again")

    private fun text(table: Map<*, *>, key: String): String =
        required(table, key).let { value -> (value as? String)?.takeIf { it.isNotEmpty() } ?: wrong(key, value) }

    private fun oneOf(table: Map<*, *>, key: String, vararg known: String): String =
        text(table, key).also { if (it !in known) wrong(key, it) }

    private fun number(table: Map<*, *>, key: String): Double =
        required(table, key).let { (it as? Number)?.toDouble() ?: wrong(key, it) }

    private fun list(table: Map<*, *>, key: String): List<*> =
        required(table, key).let { value -> (value as? List<*>)?.takeIf { it.isNotEmpty() } ?: wrong(key, value) }

    private fun whole(value: Any?): Int? = (value as? Long)?.takeIf { it in Int.MIN_VALUE..Int.MAX_VALUE }?.toInt()

    private fun wrong(key: String, value: Any?): Nothing {
        val said = Json.write(value).let { if (it.length > 60) it.take(60) + "..." else it }
        throw ArtifactException("$file: $key cannot be $said; export the model again")
    }

    private companion object {
        const val MAX_SIDE = 1 shl 16
        val SHA256 = Regex("[0-9a-f]{64}")
    }
}
