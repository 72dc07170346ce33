"""The documents: lines, words, links, commands, and numbers that stand in more than one place."""

import re
from pathlib import Path

import pytest
import typer

from edge_scs.cli.app import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "apps/*.md", "apps/*/*.md", "edge_scs/weights/*.md")
    for path in ROOT.glob(pattern)
)
CARDS = sorted((ROOT / "edge_scs" / "weights").glob("*.md"))
WIDTH = 120
# Words of this project's own that a newcomer stumbles over. The field says: fix, roofline peak, guided by, requested,
# parity check, verified, reported, resumes, metrics or numbers, discriminator, gate, float32 ops, architecture, image.
WORDS = re.compile(
    r"\b(mend(s|ed|ing)?|roofs?|led by|asked|proofs?|proven|told|go(es)? on|went on|gone on|figures|rivals?|judged?"
    r"|valves?|islands?|the house|pictures?|begin_as)\b",
    re.IGNORECASE,
)
EXCEPTIONS = {"docs/papers/scsnet.md": {"valves", "valve"}}  # the paper's term
SOURCES = ("edge_scs/**/*.py", "benchmarks/*.py", "recipes/*.toml", "export/*.toml", "apps/**/*.kt", "apps/**/*.swift")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def split(path: Path) -> tuple[list[str], list[str]]:
    """(prose with its tables, fenced code) of a document, line by line; the other part's lines are empty."""
    prose, code, fenced = [], [], False
    for line in path.read_text(encoding="utf-8").splitlines():
        fence = line.lstrip().startswith("```")
        prose.append("" if fenced or fence else line)
        code.append(line if fenced and not fence else "")
        fenced ^= fence
    return prose, code


def commands(path: Path) -> list[list[str]]:
    """The words of every edge-scs command in the code of a document, after "edge-scs"."""
    text = "\n".join(split(path)[1]).replace("\\\n", " ")
    lines = re.findall(r"^\s*(?:\S*/)?edge-scs ([^#\n]+)", text, re.MULTILINE)
    return [[word.strip("[]") for word in line.split()] for line in lines]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_lines_and_words(path: Path) -> None:
    prose, _ = split(path)
    long = [number for number, line in enumerate(prose, 1) if len(line) > WIDTH and not line.startswith("|")]
    assert not long, f"longer than {WIDTH}: lines {long}"
    allowed = EXCEPTIONS.get(name(path), set())
    bare = [re.sub(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->", "", line) for line in prose]
    words = [(n, found.group()) for n, line in enumerate(bare, 1) for found in WORDS.finditer(line)]
    assert not [(number, word) for number, word in words if word.lower() not in allowed]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_to_files(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)", "\n".join(split(path)[0]))
    local = [target for target in targets if "://" not in target]
    assert not [target for target in local if not (path.parent / target).exists()]


def test_pages_that_the_sources_name_exist() -> None:
    files = [path for pattern in SOURCES for path in ROOT.glob(pattern)]
    named = {(name(file), page) for file in files for page in re.findall(r"docs/[\w/-]+\.md", file.read_text("utf-8"))}
    assert named
    assert not [(file, page) for file, page in sorted(named) if not (ROOT / page).is_file()]


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if "log" not in path.parts], ids=name)
def test_sources_that_are_named_exist(path: Path) -> None:
    """``lowering/deploy.py`` is of the package; histories may name what is gone."""
    named = re.findall(r"`([\w/]+/\w+\.py)`", path.read_text(encoding="utf-8"))
    places = (ROOT, ROOT / "edge_scs", ROOT / "tests", path.parent)
    assert not [file for file in named if not any((place / file).exists() for place in places)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_commands_exist(path: Path) -> None:
    for words in commands(path):
        command = typer.main.get_command(app)
        while hasattr(command, "commands") and not words[0].startswith("-"):
            assert words[0] in command.commands, f"edge-scs {words[0]}"
            command, words = command.commands[words[0]], words[1:]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
        assert used <= options | {"--help", "--version"}, f"edge-scs {command.name} {used - options}"


def test_results_stand_in_the_documents_as_in_their_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "figures"))
    import results

    for document in ("README.md", "docs/performance.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        assert results.table() in text, f"{document} is stale: python docs/figures/make.py"
    words = " ".join(text.split())  # of docs/performance.md, whatever its line breaks
    said = results.statements()
    assert not [statement for statement in said if statement not in words], "differs from docs/figures/results.toml"


def test_times_faster_are_measured_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """In README and the first part of docs/performance.md no factor stands that docs/figures/results.toml lacks."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "figures"))
    import results

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    performance = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8").partition("## Goals")[0]
    allowed = set(re.findall(r"\d+(?:\.\d+)?", results.table() + " ".join(results.statements())))
    for text in (readme, performance):
        factors = re.findall(r"(\d+(?:\.\d+)?)(?:x| times faster)(?!\w)", re.sub(r"\b\d+x\d+\b", "", text))
        assert factors
        assert set(factors) <= allowed


@pytest.mark.parametrize("path", CARDS, ids=name)
def test_a_card_says_in_its_text_what_its_front_matter_says(path: Path) -> None:
    _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
    facts = dict(line.split(": ", 1) for line in front.splitlines())
    assert {"model", "mult_adds", "b100_x4_psnr_y"} <= set(facts)
    assert not [f"{key}: {value}" for key, value in facts.items() if value not in body]
