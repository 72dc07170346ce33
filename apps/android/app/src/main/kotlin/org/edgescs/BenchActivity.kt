package org.edgescs

import android.app.Activity
import android.os.Bundle
import android.view.View
import android.view.WindowManager
import android.widget.ProgressBar
import android.widget.TextView
import java.io.File
import java.util.Date
import org.edgescs.core.ArtifactException
import org.edgescs.core.CancelledException
import org.edgescs.core.Conditions
import org.edgescs.core.LatencyReport
import org.edgescs.core.Memory
import org.edgescs.core.Stopwatch
import org.edgescs.core.TimingPlan

/**
 * Times one model and writes `files/latency.json`, or `files/latency.error` with one line. From a shell:
 *
 *     adb shell am start -W -S -n org.edgescs/.BenchActivity --es model NAME --ei warmup 10 --ei runs 50 \
 *         --ei threads 4 --ei sustained 5
 *     adb shell run-as org.edgescs cat files/latency.json
 *
 * `model` is a model's folder or .pte, or a .pte pushed into the app's files with its manifest; the first model if it
 * is left out, as the other extras may be. `sustained` is in minutes, 0 by default. Both files of an earlier run are
 * removed first.
 */
class BenchActivity : Activity() {
    private val app get() = application as EdgeScsApp
    private val status by lazy { view<TextView>(R.id.status) }
    private val progress by lazy { view<ProgressBar>(R.id.progress) }
    private val share by lazy { view<View>(R.id.share) }
    private val longer by lazy { view<View>(R.id.longer) }

    @Volatile
    private var stopped = false
    private var run = 0

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.bench)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        share.isEnabled = false
        share.setOnClickListener { share() }
        longer.setOnClickListener {
            intent.putExtra(SUSTAINED, LONG_MINUTES)
            start()
        }
        if (File(filesDir, RESULT).isFile && state != null) done(File(filesDir, RESULT).readText()) else start()
    }

    override fun onDestroy() {
        super.onDestroy()
        stopped = true
    }

    private fun start() {
        run = app.runs.begin()
        share.isEnabled = false
        longer.isEnabled = false
        progress.visibility = View.VISIBLE
        status.setText(R.string.measuring)
        app.work(::measure, ::failed, ::done)
    }

    private fun measure(): String {
        val plan =
            TimingPlan(number(WARMUP) ?: 10, number(RUNS) ?: 50, number(THREADS), number(SUSTAINED) ?: 0)
        val artifact = app.models.named(intent.getStringExtra(MODEL))
        val method = intent.getStringExtra(METHOD)
        val choice = artifact.choices.firstOrNull { method == null || it.method == method }
            ?: throw ArtifactException("${artifact.file.name}: has no method $method")
        if (choice.magnification != null) {
            throw ArtifactException("${artifact.file.name}: is a continuous program; measure one of a fixed size")
        }
        val device = DeviceInfo(this)
        app.workshop.close() // a model that is open already would have loaded for nothing
        val (status, lowPower) = device.status to device.lowPower
        val loadMs = ExecuTorchEngine.open(artifact, plan.threads).use { it.loadMs } // for the time of the first time
        ExecuTorchEngine.open(artifact, plan.threads).use { engine ->
            val before = device.thermal
            val stopwatch = Stopwatch(engine, choice, artifact.file.name)
            val timings = stopwatch.time(plan, ::heard)
            val sustained = plan.sustainedMinutes.takeIf { it > 0 }
                ?.let { stopwatch.sustain(it, { device.thermal }, ::heard) }
            val conditions = Conditions(
                device.buildType, lowPower, Memory.of(status, device.status), engine.loadMs, sustained,
            )
            val report = LatencyReport(
                Date(), packageName, BuildConfig.VERSION_NAME, device.facts, artifact.manifest, choice,
                ExecuTorchEngine.VERSION, engine.backends(choice.method), plan, before, device.thermal,
                loadMs, timings, conditions,
            )
            val json = report.json()
            app.runs.write(run, RESULT, json)
            return json
        }
    }

    private fun heard(done: Int, of: Int) {
        if (stopped) throw CancelledException()
        app.onMain { advance(done, of) }
    }

    /** A whole number, given as such or as a text. */
    private fun number(key: String): Int? {
        val text = intent.getStringExtra(key)
        if (text != null) return text.toIntOrNull() ?: throw ArtifactException("$key must be a whole number, not $text")
        return if (intent.hasExtra(key)) intent.getIntExtra(key, 0) else null
    }

    private fun advance(done: Int, of: Int) {
        progress.max = of
        progress.progress = done
    }

    private fun done(json: String) {
        progress.visibility = View.INVISIBLE
        status.text = LatencyReport.lines(json).joinToString("\n")
        share.isEnabled = true
        longer.isEnabled = true
    }

    private fun failed(message: String?) {
        val line = message ?: getString(R.string.cancelled)
        app.runs.write(run, ERROR, line + "\n") // nothing where a newer run has begun
        progress.visibility = View.INVISIBLE
        longer.isEnabled = true
        status.text = line
    }

    private fun share() {
        SharedFiles.put(this, RESULT) { File(filesDir, RESULT).copyTo(it, overwrite = true) }
        SharedFiles.share(this, RESULT, "application/json")
    }

    companion object {
        const val MODEL = "model"
        const val METHOD = "method"
        const val WARMUP = "warmup"
        const val RUNS = "runs"
        const val THREADS = "threads"
        const val SUSTAINED = "sustained" // minutes
        private const val LONG_MINUTES = 5
        const val RESULT = "latency.json"
        const val ERROR = "latency.error"
    }
}
