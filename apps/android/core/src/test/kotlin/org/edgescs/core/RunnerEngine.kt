package org.edgescs.core

import java.io.DataInputStream
import java.io.DataOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import javax.imageio.ImageIO

/** A .pte run by ExecuTorch on this machine, in a process of its own: apps/runner/runner.cpp. */
class RunnerEngine(folder: File, program: File) : Engine {
    private val process = ProcessBuilder(File(folder, "runner").path, program.path)
        .apply { environment()["LD_LIBRARY_PATH"] = File(folder, "libraries").readText().trim() }
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start()
    private val requests = DataOutputStream(process.outputStream.buffered())
    private val answers = DataInputStream(process.inputStream.buffered())
    override val loadMs = 1.0

    override fun backends(method: String) = listOf("XnnpackBackend")

    override fun run(method: String, inputs: List<Tensor>): Tensor = runAll(method, inputs)[0]

    override fun runAll(method: String, inputs: List<Tensor>): List<Tensor> {
        number(method.length)
        requests.writeBytes(method)
        number(inputs.size)
        for (input in inputs) {
            number(input.shape.size)
            input.shape.forEach(::number)
            val bytes = buffer(4 * input.values.size)
            bytes.asFloatBuffer().put(input.values)
            requests.write(bytes.array())
        }
        requests.flush()
        val code = number()
        if (code != 0) throw ArtifactException("the runner failed with error 0x${code.toString(16)}")
        return List(number()) { tensor() }
    }

    private fun tensor(): Tensor {
        val shape = List(number()) { number() }
        val bytes = buffer(4 * shape.reduce(Int::times))
        answers.readFully(bytes.array())
        return Tensor(shape, FloatArray(bytes.capacity() / 4).also { bytes.asFloatBuffer().get(it) })
    }

    override fun close() {
        requests.close()
        process.waitFor()
    }

    private fun number(value: Int) = requests.writeInt(Integer.reverseBytes(value))

    private fun number(): Int = Integer.reverseBytes(answers.readInt())

    private fun buffer(size: Int) = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN)
}

/** A PNG's pixels as Android's BitmapFactory gives them. */
fun readPng(file: File): Picture {
    val image = ImageIO.read(file)
    return Picture(image.height, image.width, IntArray(image.width * image.height) {
        val (x, y) = it % image.width to it / image.width
        // getRGB takes a grey PNG for linear light: its levels are wanted.
        val grey = image.raster.numBands < 3
        if (grey) image.raster.getSample(x, y, 0).let { v -> Pixels.argb(v, v, v) } else image.getRGB(x, y)
    })
}
