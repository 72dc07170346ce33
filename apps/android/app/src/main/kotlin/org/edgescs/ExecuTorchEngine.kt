package org.edgescs

import org.edgescs.core.Artifact
import org.edgescs.core.ArtifactException
import org.edgescs.core.Engine
import org.edgescs.core.EngineFactory
import org.edgescs.core.Stopwatch
import org.edgescs.core.Tensor
import org.edgescs.core.closingOnFailure
import org.pytorch.executorch.EValue
import org.pytorch.executorch.ExecuTorchRuntime
import org.pytorch.executorch.ExecutorchRuntimeException
import org.pytorch.executorch.Module

/** A .pte run by ExecuTorch. Compiles against older ones too: `destroy` not `use`, what `loadMethod` returns unread. */
class ExecuTorchEngine private constructor(
    private val module: Module,
    private val name: String,
    override val loadMs: Double,
) : Engine {
    override fun backends(method: String): List<String> =
        guarded(name) { module.getMethodMetadata(method).backends.toList() }

    override fun run(method: String, inputs: List<Tensor>): Tensor = runAll(method, inputs)[0]

    override fun runAll(method: String, inputs: List<Tensor>): List<Tensor> = guarded(name) {
        val given = inputs.map { EValue.from(org.pytorch.executorch.Tensor.fromBlob(it.values, longs(it.shape))) }
        // A destroyed module answers with nothing.
        val answers = module.execute(method, *given.toTypedArray())
        if (answers.isEmpty()) throw ArtifactException("$name: $method gave no answer; open the model again")
        answers.map {
            val tensor = it.toTensor()
            Tensor(tensor.shape().map(Long::toInt), tensor.dataAsFloatArray)
        }
    }

    override fun close() = module.destroy()

    companion object : EngineFactory {
        /** Of the AAR in gradle/libs.versions.toml. */
        const val VERSION = BuildConfig.EXECUTORCH_VERSION

        override fun open(artifact: Artifact, threads: Int?): Engine = guarded(artifact.file.name) {
            val start = System.nanoTime()
            // 0 lets ExecuTorch choose. All methods are loaded here, so that no first picture pays for it.
            val module = Module.load(artifact.file.path, Module.LOAD_MODE_FILE, threads ?: 0)
            closingOnFailure(module::destroy) {
                artifact.manifest.methods.forEach { module.loadMethod(it.name) }
                ExecuTorchEngine(module, artifact.file.name, Stopwatch.milliseconds(System.nanoTime() - start))
            }
        }

        private fun longs(shape: List<Int>) = LongArray(shape.size) { shape[it].toLong() }

        /** ExecuTorch's error numbers as advice, and a missing native library as what it is. */
        private fun <T> guarded(name: String, run: () -> T): T = try {
            run()
        } catch (error: ExecutorchRuntimeException) {
            throw ArtifactException("$name: ${advice(error)}")
        } catch (error: LinkageError) {
            throw ArtifactException("$name: ExecuTorch does not load here (${error.message}); use an arm64 phone")
        } catch (error: IllegalArgumentException) {
            throw ArtifactException("$name: ${error.message}; export the model again")
        }

        private fun advice(error: ExecutorchRuntimeException): String = when (error.errorCode) {
            ExecutorchRuntimeException.NOT_FOUND ->
                "needs a backend or a method that this app lacks; it has ${registered()}. Export it for xnnpack"
            ExecutorchRuntimeException.OPERATOR_MISSING ->
                "uses an operator that this app lacks; export it with ExecuTorch $VERSION"
            ExecutorchRuntimeException.INVALID_PROGRAM ->
                "is damaged, or made for another ExecuTorch; export it with $VERSION"
            ExecutorchRuntimeException.INVALID_ARGUMENT ->
                "takes inputs of another shape than its manifest says; export it again"
            ExecutorchRuntimeException.MEMORY_ALLOCATION_FAILED ->
                "needs more memory than there is; close other apps, or choose a smaller size"
            ExecutorchRuntimeException.DELEGATE_INVALID_COMPATIBILITY ->
                "was lowered by another version of its backend; export it with ExecuTorch $VERSION"
            else -> "ExecuTorch stopped with error 0x${error.errorCode.toString(16)}; export it again"
        }

        private fun registered(): String = ExecuTorchRuntime.getRegisteredBackends().joinToString().ifEmpty { "none" }
    }
}
