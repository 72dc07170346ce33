package org.edgescs.core

/** A float32 tensor: [shape] (n, c, h, w), [values] in that order. */
class Tensor(val shape: List<Int>, val values: FloatArray) {
    companion object {
        /** Three planes of zeros. */
        fun zeros(size: Size) = Tensor(listOf(1, 3, size.height, size.width), FloatArray(3 * size.height * size.width))
    }
}

/** A loaded artifact, whatever runs it. Not for several threads at once. */
interface Engine : AutoCloseable {
    /** From the file to a model that can run. */
    val loadMs: Double

    /** Delegates of a method, as the runtime reports them. */
    fun backends(method: String): List<String>

    /** Throws [ArtifactException] where the runtime fails, with advice where the reason is known. */
    fun run(method: String, inputs: List<Tensor>): Tensor

    /** Every output of a method; engines that run continuous programs have more than one. Throws like [run]. */
    fun runAll(method: String, inputs: List<Tensor>): List<Tensor> = listOf(run(method, inputs))
}

/** What [run] gives; what was opened before it is closed where it fails. */
inline fun <T> closingOnFailure(close: () -> Unit, run: () -> T): T =
    try {
        run()
    } catch (error: Throwable) {
        close()
        throw error
    }

/** An [Engine] for an artifact's file. [threads] null leaves the number to the runtime. */
fun interface EngineFactory {
    fun open(artifact: Artifact, threads: Int?): Engine
}
