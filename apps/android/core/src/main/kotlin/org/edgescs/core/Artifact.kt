package org.edgescs.core

import java.io.File
import java.io.IOException
import java.security.MessageDigest

/**
 * One way to use an artifact: pictures of [lr] become RGB pictures of [hr]. [channels] is 1 for grey; [reference] is
 * the size of the picture whose colours to use, or null. [magnification]: of a continuous program, which takes any
 * size and is driven by [Continuous]; null for a method of one size. [hints]: the grid of the port for colour hints, or
 * null; these apps give none, which the network is told by zeros.
 */
class Choice(
    val method: String, val channels: Int, val lr: Size, val hr: Size, val reference: Size?,
    val magnification: Double? = null, val hints: Size? = null,
) {
    val scale: Double get() = magnification ?: (hr.height.toDouble() / lr.height)
}

/** An artifact in a folder with its manifest, as `edge-scs apps prepare` lays it there. */
class Artifact(val file: File, val manifest: Manifest, val choices: List<Choice>) {
    /**
     * The folder of a method's golden pair, or null: `input.png`, `expected.png`, sometimes `reference.png`. Null for a
     * method with a port for hints too: its pair was made with some, which no image holds.
     */
    fun golden(choice: Choice): File? =
        manifest.golden?.takeIf { choice.hints == null && manifest.facts?.takesHints != true }
            ?.let { File(File(file.parentFile, it), choice.method) }
            ?.takeIf { File(it, "expected.png").isFile }

    companion object {
        private const val SUFFIX = ".pte"

        /**
         * The artifacts in the folders right below [root]: int8, the fast ones, first, those that need a reference
         * last. What cannot be used ends in [refused].
         */
        fun all(root: File, refused: (ArtifactException) -> Unit = {}): List<Artifact> =
            root.listFiles().orEmpty().filter { it.isDirectory }.sortedBy { it.name }.mapNotNull { folder ->
                try {
                    Artifact.open(folder)
                } catch (error: ArtifactException) {
                    refused(error)
                    null
                }
            }.sortedWith(compareBy({ it.choices[0].reference != null }, { it.manifest.precision != "int8" }))

        /** The artifact in a folder, checked against its manifest. Throws [ArtifactException]. */
        fun open(folder: File): Artifact {
            val files = folder.listFiles().orEmpty().filter { it.name.endsWith(SUFFIX) }
            if (files.size != 1) {
                val found = "${folder.name}: has ${files.size} $SUFFIX files, must have one"
                throw ArtifactException("$found; run edge-scs apps prepare")
            }
            return openFile(files.single())
        }

        /** The artifact of that name, its manifest beside it. Throws [ArtifactException]. */
        fun openFile(file: File): Artifact {
            val beside = File(file.path + ".json")
            try {
                if (!beside.isFile) {
                    throw ArtifactException("${beside.name}: is missing; keep the manifest beside its artifact")
                }
                if (beside.length() > Manifest.MAX_BYTES) throw Manifest.tooLarge(beside.name)
                val manifest = Manifest.read(beside.readText(), beside.name)
                val choices = choices(manifest, file.name)
                if (sha256(file) != manifest.sha256) {
                    throw ArtifactException("${file.name}: differs from its manifest; export the model again")
                }
                return Artifact(file, manifest, choices)
            } catch (error: IOException) {
                throw ArtifactException("${file.name}: cannot be read (${error.message}); copy it again")
            }
        }

        /** Throws [ArtifactException] for what ExecuTorch on Android cannot run, or not as pictures. */
        fun choices(manifest: Manifest, name: String): List<Choice> {
            val why = when {
                manifest.target != "executorch" -> "is a Core ML artifact; give one exported for executorch"
                manifest.backend !in RUNNABLE ->
                    "was lowered for ${manifest.backend}, which Android lacks; give an xnnpack one"
                manifest.facts != null -> return MAGNIFICATIONS.map { continuous(it, manifest.facts) }
                else -> return manifest.methods.map { choice(it, name) }
            }
            throw ArtifactException("$name: $why")
        }

        /** Named as the folder of its golden pair. */
        private fun continuous(by: Double, facts: ContinuousFacts): Choice {
            val name = "x" + by.toString().removeSuffix(".0")
            val side = Math.rint(facts.tile * by).toInt()
            return Choice(name, 1, Size(facts.tile, facts.tile), Size(side, side), null, by)
        }

        private fun choice(method: Method, name: String): Choice {
            val (input, guides) = method.inputs[0] to method.inputs.drop(1)
            val (reference, hints) = listOf("reference", "hints").map { port -> guides.firstOrNull { it.name == port } }
            val output = method.outputs[0]
            val pictures = (method.inputs + output).all { it.isPicture && it.dtype == "float32" }
            val known = guides == listOfNotNull(reference, hints) && guides.all { it.channels == 3 }
            if (!pictures || !known || input.channels !in listOf(1, 3) || output.channels != 3) {
                val why = "${method.name} does not turn one picture into an RGB picture"
                throw ArtifactException("$name: $why; export a model of ours")
            }
            return Choice(
                method.name, input.channels, input.size, output.size, reference?.size, hints = hints?.size,
            )
        }

        /** What is offered of a continuous program, which does any from 1 to 8. */
        val MAGNIFICATIONS = listOf(2.0, 1.0, 1.5, 2.7, 3.0, 4.0, 6.0, 8.0)

        private val RUNNABLE = listOf("xnnpack", "vulkan")

        fun sha256(file: File): String {
            val digest = MessageDigest.getInstance("SHA-256")
            file.inputStream().use { stream ->
                val buffer = ByteArray(1 shl 16)
                while (true) {
                    val count = stream.read(buffer)
                    if (count < 0) break
                    digest.update(buffer, 0, count)
                }
            }
            return digest.digest().joinToString("") { "%02x".format(it) }
        }
    }
}
