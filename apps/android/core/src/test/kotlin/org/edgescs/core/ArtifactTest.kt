package org.edgescs.core

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** Folders of models: what is shown, and what is refused with which words. */
class ArtifactTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private fun text(name: String) =
        Vectors.read("manifest").cases("readable").single { it.text("name") == name }.text("text")

    /** A model's folder whose manifest fits its content. */
    private fun model(name: String, manifest: String = text("one size"), content: String = "program"): File {
        val folder = temporary.newFolder(name)
        val file = File(folder, "m.pte").apply { writeText(content) }
        File(folder, "m.pte.json").writeText(manifest.replace("0123456789abcdef".repeat(4), Artifact.sha256(file)))
        return folder
    }

    private fun refusal(folder: File): String =
        assertThrows(ArtifactException::class.java) { Artifact.open(folder) }.message!!

    @Test
    fun aModelIsRead() {
        val choice = Artifact.open(model("a")).choices.single()
        val facts = choice.run { listOf(method, channels, lr, hr, reference) }
        assertEquals(listOf("forward", 1, Size(180, 320), Size(720, 1280), null), facts)
        assertEquals(4.0, choice.scale, 0.0)
    }

    @Test
    fun sizesAndReferencesAreChoices() {
        val sizes = Artifact.open(model("sizes", text("several sizes"))).choices
        assertEquals(listOf("forward" to 4.0, "x2_640x360" to 2.0), sizes.map { it.method to it.scale })
        val led = Artifact.open(model("led", text("with a reference"))).choices.single()
        assertEquals(Size(128, 128), led.reference)
        val hinted = Artifact.open(model("hinted", text("with a reference and hints"))).choices.single()
        assertEquals(listOf(Size(128, 128), Size(45, 80)), hinted.run { listOf(reference, hints) })
        assertNull(led.hints)
        val alone = Artifact.open(model("alone", text("with hints"))).choices.single()
        assertEquals(listOf(null, Size(45, 80)), alone.run { listOf(reference, hints) })
        val strange = text("with hints").replace("\"hints\"", "\"depth\"")
        assertTrue("RGB picture" in refusal(model("strange", strange)))
        val any = Artifact.open(model("any", text("continuous")))
        assertFalse(any.manifest.facts!!.takesHints)
        assertTrue(Artifact.open(model("anyhinted", text("continuous with hints"))).manifest.facts!!.takesHints)
        assertTrue(any.manifest.continuous)
        assertEquals(listOf("x2", "x1", "x1.5", "x2.7", "x3", "x4", "x6", "x8"), any.choices.map { it.method })
        assertEquals(2.7, any.choices[3].scale, 0.0)
    }

    @Test
    fun whatCannotRunIsRefused() {
        assertTrue("Core ML" in refusal(model("coreml", text("Core ML"))))
        val two = text("one size").replace("[1, 3, 720, 1280]", "[1, 2, 720, 1280]")
        assertTrue("RGB picture" in refusal(model("two", two)))
        val lowered = text("one size").replace("\"backend\": \"xnnpack\"", "\"backend\": \"coreml\"")
        assertTrue("xnnpack" in refusal(model("lowered", lowered)))
    }

    @Test
    fun anotherFileThanTheManifestsIsRefused() {
        val folder = model("changed")
        File(folder, "m.pte").appendText(".")
        assertTrue("differs from its manifest" in refusal(folder))
        File(folder, "m.pte.json").delete()
        assertTrue("missing" in refusal(folder))
        assertTrue("0 .pte files" in refusal(temporary.newFolder("empty")))
        val large = model("large")
        File(large, "m.pte.json").appendText(" ".repeat(1 shl 20))
        assertTrue("1 MB" in refusal(large))
    }

    @Test
    fun oneBadModelHidesNoOther() {
        model("b")
        File(model("a"), "m.pte").delete()
        val said = ArrayList<String>()
        val found = Artifact.all(temporary.root) { said += it.message!! }
        assertEquals(listOf("b"), found.map { it.file.parentFile!!.name })
        assertEquals(1, said.size)
        assertEquals(emptyList<Artifact>(), Artifact.all(File(temporary.root, "none")))
    }

    @Test
    fun theFastOneIsFirstAndReferencesAreLast() {
        model("a", text("with a reference"))
        model("b")
        model("c", text("one size").replace("\"precision\": \"fp32\"", "\"precision\": \"int8\""))
        assertEquals(listOf("c", "b", "a"), Artifact.all(temporary.root).map { it.file.parentFile!!.name })
    }

    @Test
    fun aGoldenPairIsThereOrNot() {
        val folder = model("golden")
        val artifact = Artifact.open(folder)
        assertNull(artifact.golden(artifact.choices[0]))
        File(folder, "m.pte.golden/forward").mkdirs()
        File(folder, "m.pte.golden/forward/expected.png").createNewFile()
        assertEquals("forward", artifact.golden(artifact.choices[0])!!.name)
        val hinted = model("goldenhints", text("with hints"))
        File(hinted, "m.pte.golden/forward").mkdirs()
        File(hinted, "m.pte.golden/forward/expected.png").createNewFile()
        assertNull(Artifact.open(hinted).run { golden(choices[0]) })
    }
}
