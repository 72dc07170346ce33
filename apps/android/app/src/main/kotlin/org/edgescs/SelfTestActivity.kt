package org.edgescs

import android.app.Activity
import android.os.Bundle
import android.view.View
import android.widget.ProgressBar
import android.widget.TextView
import java.io.File
import org.edgescs.core.Artifact
import org.edgescs.core.ArtifactException
import org.edgescs.core.CancelledException
import org.edgescs.core.Choice
import org.edgescs.core.SelfTest

/** Every model's golden pairs on this phone: what Python proved about the artifact, proved again where it will run. */
class SelfTestActivity : Activity() {
    private val app get() = application as EdgeScsApp
    private val lines = ArrayList<String>()

    @Volatile
    private var stopped = false

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        setContentView(R.layout.self_test)
        val progress = view<ProgressBar>(R.id.progress)
        app.work(::testAll, { say(it ?: getString(R.string.cancelled)) }) { progress.visibility = View.INVISIBLE }
    }

    override fun onDestroy() {
        super.onDestroy()
        stopped = true
    }

    private fun testAll() {
        val artifacts = app.models.all { error -> app.onMain { say(getString(R.string.refused, error.message)) } }
        if (artifacts.isEmpty()) throw ArtifactException(getString(R.string.no_models))
        for (artifact in artifacts) {
            for (choice in artifact.choices) {
                if (stopped) throw CancelledException()
                val line = try {
                    test(artifact, choice)
                } catch (error: ArtifactException) {
                    getString(R.string.refused, error.message)
                }
                app.onMain { say(line) }
            }
        }
    }

    private fun test(artifact: Artifact, choice: Choice): String {
        val name = "${artifact.file.name} ${choice.method}"
        val golden = artifact.golden(choice) ?: return getString(R.string.no_golden, name)
        val reference = File(golden, "reference.png").takeIf { it.isFile }?.let(Photographs::read)
        val (input, expected) = listOf("input.png", "expected.png").map { Photographs.read(File(golden, it)) }
        val outcome = SelfTest(app.workshop.engine(artifact, null), artifact).run(choice, input, reference, expected)
        val verdict = if (outcome.passed) R.string.passed else R.string.not_passed
        return getString(verdict, name, outcome.db, outcome.neededDb)
    }

    private fun say(line: String) {
        lines += line
        view<TextView>(R.id.status).text = lines.joinToString("\n\n")
    }
}
