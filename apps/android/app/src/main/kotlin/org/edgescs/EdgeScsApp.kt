package org.edgescs

import android.app.Application
import android.os.Handler
import android.os.Looper
import java.util.concurrent.Executors
import org.edgescs.core.Answer
import org.edgescs.core.Artifact
import org.edgescs.core.ArtifactException
import org.edgescs.core.CancelledException
import org.edgescs.core.Picture
import org.edgescs.core.RunFiles
import org.edgescs.core.Workshop

/** What outlives a turned screen: one thread for all work on models, and what the main screen shows. */
class EdgeScsApp : Application() {
    val workshop = Workshop(ExecuTorchEngine)
    val models by lazy { Models(this) }
    val session = Session()
    val runs by lazy { RunFiles(filesDir, BenchActivity.RESULT, BenchActivity.ERROR) }

    private val thread = Executors.newSingleThreadExecutor()
    private val main = Handler(Looper.getMainLooper())

    /**
     * Run [work] on the models' thread and [done] with its answer on the main one; [failed] hears one line instead
     * when it cannot be done, and null when it was cancelled.
     */
    fun <T> work(work: () -> T, failed: (String?) -> Unit, done: (T) -> Unit) {
        thread.execute {
            try {
                val answer = work()
                main.post { done(answer) }
            } catch (_: CancelledException) {
                main.post { failed(null) }
            } catch (error: ArtifactException) {
                main.post { failed(error.message) }
            } catch (error: java.io.IOException) {
                main.post { failed(getString(R.string.not_written, error.message)) }
            } catch (error: RuntimeException) { // of the system or of ExecuTorch: a line on the screen, no crash
                main.post { failed(error.toString()) }
            } catch (_: OutOfMemoryError) {
                main.post { failed(getString(R.string.out_of_memory)) }
            }
        }
    }

    fun onMain(run: () -> Unit) {
        main.post(run)
    }
}

/** The main screen's state. Read and written on the main thread, but for [cancelled]. */
class Session {
    var artifacts: List<Artifact> = emptyList()
    var refused: List<String> = emptyList()
    var loaded = false
    var model = 0
    var choice = 0
    var threads: Int? = null
    var photograph: Picture? = null
        set(value) {
            field = value
            grey = value?.let(Workshop::withoutColours)
        }
    private var grey: Picture? = null
    var keepColours = false

    /** Whether the answer has the photograph's own colours: they are kept or borrowed, not both. */
    val keeps get() = keepColours && chosen?.reference == null

    /** What the answer is compared with: what the network was given to see. */
    val before get() = if (keeps) photograph else grey
    var reference: Picture? = null
    var answer: Answer? = null
        set(value) {
            field = value
            vivid = null
        }
    private var vivid: Picture? = null

    /** How strong the answer's colours are shown, saved and shared: 0 (grey) to 1.5; 1 as the network gives them. */
    var vividness = 1f
        set(value) {
            field = value
            vivid = null
        }

    /** The answer with its vividness. */
    val shown: Picture?
        get() = vivid ?: answer?.picture?.let { Workshop.vivid(it, vividness) }.also { vivid = it }
    var busy = false
    var message: String? = null

    /** The screen that stands at the moment: a turned one is another object. */
    var screen: MainActivity? = null

    @Volatile
    var cancelled = false

    val artifact get() = artifacts.getOrNull(model)
    val chosen get() = artifact?.choices?.getOrNull(choice)
}
