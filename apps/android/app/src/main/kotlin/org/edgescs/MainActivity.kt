package org.edgescs

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.MediaStore
import android.view.View
import android.widget.Button
import android.widget.CheckBox
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.SeekBar
import android.widget.Spinner
import android.widget.TextView
import android.widget.Toast
import java.io.File
import org.edgescs.core.Artifact
import org.edgescs.core.CancelledException
import org.edgescs.core.Choice
import org.edgescs.core.Picture
import org.edgescs.core.Workshop

/** Choose a photograph, colour and enlarge it, compare, share. */
class MainActivity : Activity() {
    private val app get() = application as EdgeScsApp
    private val session get() = app.session

    private val comparison by lazy { view<BeforeAfterView>(R.id.comparison) }
    private val status by lazy { view<TextView>(R.id.status) }
    private val progress by lazy { view<ProgressBar>(R.id.progress) }
    private val colour by lazy { view<Button>(R.id.colour) }
    private val reference by lazy { view<View>(R.id.reference) }
    private val keepColours by lazy { view<CheckBox>(R.id.keep_colours) }
    private val vividness by lazy { view<SeekBar>(R.id.vividness) }
    private val thumbnail by lazy { view<ImageView>(R.id.reference_thumbnail) }

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.main)
        session.screen = this
        view<View>(R.id.choose).setOnClickListener { pick(PHOTOGRAPH) }
        reference.setOnClickListener { pick(REFERENCE) }
        colour.setOnClickListener { if (session.busy) session.cancelled = true else start() }
        keepColours.setOnClickListener {
            session.keepColours = keepColours.isChecked
            session.answer = null
            show()
        }
        vividness.max = VIVID_STEPS
        vividness.progress = (session.vividness * VIVID_STEP).toInt()
        vividness.setOnSeekBarChangeListener(object : SeekBar.OnSeekBarChangeListener {
            override fun onProgressChanged(bar: SeekBar, value: Int, byUser: Boolean) = Unit

            override fun onStartTrackingTouch(bar: SeekBar) = Unit

            override fun onStopTrackingTouch(bar: SeekBar) {
                session.vividness = bar.progress.toFloat() / VIVID_STEP
                show()
            }
        })
        view<View>(R.id.sample).setOnClickListener { readSample() }
        view<View>(R.id.save).setOnClickListener { save() }
        view<View>(R.id.share).setOnClickListener { share() }
        view<View>(R.id.measure).setOnClickListener { measure() }
        view<View>(R.id.self_test).setOnClickListener {
            startActivity(Intent(this, SelfTestActivity::class.java))
        }
        if (session.loaded) showModels() else loadModels()
    }

    override fun onDestroy() {
        super.onDestroy()
        if (session.screen === this) session.screen = null
    }

    private fun loadModels() {
        status.setText(R.string.unpacking)
        progress.isIndeterminate = true
        app.work({
            val refused = ArrayList<String>()
            app.models.all { refused += it.message!! } to refused
        }, ::failed) { (artifacts, refused) ->
            session.artifacts = artifacts
            session.refused = refused
            session.loaded = true
            session.screen?.showModels()
        }
    }

    private fun showModels() {
        fill(R.id.model, session.artifacts.map(::label), session.model) {
            if (session.model != it) session.choice = 0
            session.model = it
            session.message = null
            showChoices()
        }
        val threads = Workshop.threadChoices(Runtime.getRuntime().availableProcessors())
        fill(R.id.threads, threads.map(::threadsLabel), threads.indexOf(session.threads)) {
            session.threads = threads[it]
        }
        showChoices()
    }

    private fun showChoices() {
        fill(R.id.scale, session.artifact?.choices.orEmpty().map(::label), session.choice) {
            session.choice = it
            session.message = null
            show()
        }
        show()
    }

    private fun label(artifact: Artifact): String {
        val led = if (artifact.choices.any { it.reference != null }) getString(R.string.with_reference) else ""
        val restores = if (artifact.manifest.restoration > 0) getString(R.string.restoring) else ""
        return getString(R.string.model_label, artifact.manifest.model, artifact.manifest.preset, led + restores)
    }

    private fun label(choice: Choice) =
        if (choice.magnification != null) getString(R.string.any_scale_label, choice.scale)
        else getString(R.string.scale_label, choice.scale, choice.lr.toString())

    private fun threadsLabel(count: Int?) =
        if (count == null) getString(R.string.threads_automatic)
        else resources.getQuantityString(R.plurals.threads, count, count)

    private fun fill(id: Int, labels: List<String>, selected: Int, chosen: (Int) -> Unit) =
        view<Spinner>(id).fill(labels, selected, chosen)

    /** Everything on the screen, from the session. */
    private fun show() {
        val chosen = session.chosen
        val guided = chosen != null && (chosen.reference == null || session.reference != null)
        val ready = session.photograph != null && guided
        comparison.show(session.before, session.shown)
        keepColours.isChecked = session.keepColours
        keepColours.visibility = if (chosen?.reference == null) View.VISIBLE else View.GONE
        view<View>(R.id.hint).visibility = if (session.photograph == null) View.VISIBLE else View.GONE
        reference.visibility = if (chosen?.reference == null) View.GONE else View.VISIBLE
        thumbnail.setImageBitmap(session.reference?.let(Photographs::bitmap))
        thumbnail.visibility = if (chosen?.reference == null || session.reference == null) View.GONE else View.VISIBLE
        colour.isEnabled = ready || session.busy
        colour.setText(if (session.busy) R.string.cancel else R.string.colour)
        val sources = listOf(R.id.choose, R.id.sample, R.id.reference)
        val inputs = sources + listOf(R.id.model, R.id.scale, R.id.threads, R.id.keep_colours)
        vividness.isEnabled = session.answer != null && !session.busy
        for (id in inputs + R.id.self_test) view<View>(id).isEnabled = !session.busy
        view<View>(R.id.measure).isEnabled = chosen != null && !session.busy
        for (id in listOf(R.id.save, R.id.share)) {
            view<View>(id).isEnabled = session.answer != null && !session.busy
        }
        progress.visibility = if (session.busy) View.VISIBLE else View.INVISIBLE
        if (!session.busy && session.loaded) status.text = message(ready)
    }

    private fun message(ready: Boolean): String {
        val answer = session.answer
        return when {
            session.artifacts.isEmpty() ->
                session.refused.ifEmpty { listOf(getString(R.string.no_models)) }.joinToString("\n")
            session.message != null -> session.message!!
            answer != null -> getString(
                R.string.answer, answer.picture.width, answer.picture.height, answer.totalMs, answer.inferenceMs,
                resources.getQuantityString(R.plurals.tiles, answer.tiles, answer.tiles),
                answer.backends.joinToString(),
            )
            session.photograph == null -> getString(R.string.choose_first)
            !ready -> getString(R.string.reference_first)
            else -> getString(R.string.ready)
        }
    }

    private fun start() {
        val artifact = session.artifact ?: return
        val chosen = session.chosen ?: return
        val photograph = session.photograph ?: return
        val guide = if (chosen.reference == null) null else session.reference
        val threads = session.threads
        val keep = session.keeps
        busy(true)
        advance(0, 0)
        app.work({
            app.workshop.colour(artifact, chosen, threads, photograph, guide, keep) { done, of ->
                if (session.cancelled) throw CancelledException()
                app.onMain { session.screen?.advance(done, of) }
            }
        }, ::failed) { answer ->
            session.answer = answer
            busy(false)
        }
    }

    private fun advance(done: Int, of: Int) {
        progress.isIndeterminate = done == 0
        progress.max = of
        progress.progress = done
        status.text = if (done == 0) getString(R.string.colouring) else getString(R.string.tile_of, done, of)
    }

    private fun busy(busy: Boolean, message: String? = null) {
        session.busy = busy
        session.cancelled = false
        session.message = message
        session.screen?.show()
    }

    private fun failed(message: String?) = busy(false, message ?: getString(R.string.cancelled))

    private fun pick(request: Int) {
        val photoPicker = Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU
        val intent = if (photoPicker) Intent(MediaStore.ACTION_PICK_IMAGES) else document(Intent.ACTION_OPEN_DOCUMENT)
        launch(intent.setType("image/*"), request)
    }

    private fun save() =
        launch(document(Intent.ACTION_CREATE_DOCUMENT).setType("image/png").putExtra(Intent.EXTRA_TITLE, FILE), SAVE)

    private fun document(action: String) = Intent(action).addCategory(Intent.CATEGORY_OPENABLE)

    private fun launch(intent: Intent, request: Int) =
        try {
            startActivityForResult(intent, request)
        } catch (_: ActivityNotFoundException) {
            Toast.makeText(this, R.string.no_picker, Toast.LENGTH_LONG).show()
        }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        super.onActivityResult(request, result, data)
        val uri = data?.data ?: return
        if (result != RESULT_OK) return
        when (request) {
            PHOTOGRAPH -> read(uri) { session.photograph = it }
            REFERENCE -> read(uri) { session.reference = it }
            SAVE -> writeTo(uri)
        }
    }

    private fun read(uri: Uri, keep: (Picture) -> Unit) {
        busy(true)
        status.setText(R.string.reading)
        app.work({ Photographs.read(contentResolver, uri, Workshop.MAX_SIDE) }, ::failed) { picture ->
            keep(picture)
            session.answer = null
            busy(false)
        }
    }

    private fun readSample() {
        busy(true)
        app.work({ assets.open(SAMPLE).use { Photographs.read(it, Workshop.MAX_SIDE) } }, ::failed) { picture ->
            session.photograph = picture
            session.answer = null
            busy(false)
        }
    }

    private fun writeTo(uri: Uri) {
        val picture = session.shown ?: return
        busy(true)
        status.setText(R.string.saving)
        // "wt": a file that exists and is longer would keep its end.
        app.work({ contentResolver.openOutputStream(uri, "wt")!!.use { Photographs.write(picture, it) } }, ::failed) {
            busy(false)
            Toast.makeText(this, R.string.saved, Toast.LENGTH_SHORT).show()
        }
    }

    private fun share() {
        val picture = session.shown ?: return
        val write = { file: File -> file.outputStream().use { Photographs.write(picture, it) } }
        app.work({ SharedFiles.put(this, FILE, write) }, ::failed) { SharedFiles.share(this, FILE, "image/png") }
    }

    private fun measure() {
        val artifact = session.artifact ?: return
        val intent = Intent(this, BenchActivity::class.java).putExtra(BenchActivity.MODEL, artifact.file.path)
        session.chosen?.let { intent.putExtra(BenchActivity.METHOD, it.method) }
        session.threads?.let { intent.putExtra(BenchActivity.THREADS, it) }
        startActivity(intent)
    }

    private companion object {
        const val PHOTOGRAPH = 1
        const val REFERENCE = 2
        const val SAVE = 3
        const val FILE = "edge-scs.png"
        const val SAMPLE = "sample.jpg"
        const val VIVID_STEP = 20 // of the slider, for a vividness of 1
        const val VIVID_STEPS = 30 // 1.5
    }
}
