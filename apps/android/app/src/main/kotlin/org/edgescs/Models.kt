package org.edgescs

import android.content.Context
import java.io.File
import java.io.IOException
import org.edgescs.core.Artifact
import org.edgescs.core.ArtifactException

/** The models that `edge-scs apps prepare --android` put into the assets; a benchmark may name another file. */
class Models(private val context: Context) {
    private val folder = File(context.filesDir, "models")

    /** Every usable model; [refused] hears why another is not. Copies the assets first: ExecuTorch reads files only. */
    fun all(refused: (ArtifactException) -> Unit): List<Artifact> {
        install()
        return Artifact.all(folder, refused)
    }

    /**
     * The model that a benchmark names: a .pte file (in the app's own folder, its manifest beside it) or the name of a
     * model's folder; the first one where nothing is named.
     */
    fun named(name: String?): Artifact {
        install()
        val file = name?.let { if (it.startsWith("/")) File(it) else File(context.filesDir, it) }
        if (file != null && file.isFile) return Artifact.openFile(file)
        if (name != null && '/' !in name && File(folder, name).isDirectory) return Artifact.open(File(folder, name))
        val known = Artifact.all(folder)
        if (known.isEmpty()) throw ArtifactException(context.getString(R.string.no_models))
        if (name == null) return known.first()
        return known.firstOrNull { it.file.name == name }
            ?: throw ArtifactException("$name: no such model; there are ${known.joinToString { it.file.name }}")
    }

    /** Copies a model whose record in the assets is another than its copy's; removes copies of models that are gone. */
    private fun install() {
        val names = context.assets.list(ASSETS).orEmpty()
        folder.listFiles().orEmpty().filter { it.name !in names }.forEach { it.deleteRecursively() }
        for (name in names) {
            val record = text("$ASSETS/$name/$RECORD") ?: continue
            val target = File(folder, name)
            if (File(target, RECORD).let { it.isFile && it.readText() == record }) continue
            val partial = File(folder, "$name.partial")
            partial.deleteRecursively()
            copy("$ASSETS/$name", partial)
            target.deleteRecursively()
            if (!partial.renameTo(target)) throw IOException("$name cannot be unpacked")
        }
    }

    private fun copy(asset: String, target: File) {
        val children = context.assets.list(asset).orEmpty()
        if (children.isEmpty()) {
            context.assets.open(asset).use { from -> target.outputStream().use { from.copyTo(it) } }
            return
        }
        target.mkdirs()
        children.forEach { copy("$asset/$it", File(target, it)) }
    }

    private fun text(asset: String): String? =
        try {
            context.assets.open(asset).use { it.readBytes().decodeToString() }
        } catch (_: IOException) {
            null
        }

    private companion object {
        const val ASSETS = "models"
        const val RECORD = "prepared.json"
    }
}
