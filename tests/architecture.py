"""The architecture as data: the layers, which file imports which part, and the drawing of it in CONTRIBUTING.md.

python tests/architecture.py        # rewrites the drawing; tests/test_architecture.py checks everything
"""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "edge_scs"
# From top to bottom: a part imports parts that stand after it, in its own layer or below, and nothing else.
LAYERS = {
    "interfaces": ("cli", "web", "api"),
    "applications": (
        "demo",
        "report",
        "phones",
        "measure",
        "evaluate",
        "references",
        "distribution",
        "inspection",
        "samples",
    ),
    "restoring images": ("archive", "inference"),
    "deploying networks": ("quantization", "lowering", "artifacts"),
    "training": ("training", "data"),
    "base": ("imaging", "metrics", "recipes", "weights", "models", "color", "images", "tiff", "png"),
}
ORDER = tuple(part for parts in LAYERS.values() for part in parts)
# Anyone may import these; they import nothing of ours but each other.
COMMON = ("errors", "files", "interrupts", "launch", "presets", "schemas", "side_by_side")
BEGIN, END = "<!-- layers: python tests/architecture.py -->", "<!-- end of layers -->"


def part(module: str) -> str:
    """The first name below the package: "edge_scs.models.blocks" -> "models"."""
    return [*module.split("."), ""][1]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    """Whether a dotted name is a module or folder of ours, not something inside one."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(path: Path) -> set[str]:
    """Our modules that a file imports, anywhere in it, inside functions too."""
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(name for name in (base, node.module) if name)
            ours = {f"{source}.{alias.name}" for alias in node.names}
            found |= {name if is_module(name) else source for name in ours}
    return {name for name in found if name.split(".")[0] == PACKAGE.name}


@cache
def arrows() -> list[tuple[Path, str, str]]:
    """(file, its part, a part that it imports), of different parts."""
    found = {(path, part(dotted(path)), part(name)) for path in modules() for name in imports(path)}
    return sorted((path, source, target) for path, source, target in found if source != target)


def circles() -> list[str]:
    """Modules that import each other in a circle: the first one found; none if the imports can be put in an order."""
    graph = {dotted(path): imports(path) - {PACKAGE.name, dotted(path)} for path in modules()}
    graph = {name: targets for name, targets in graph.items() if name != PACKAGE.name}  # its lazy interface
    try:
        list(TopologicalSorter(graph).static_order())
    except ValueError as error:  # CycleError: its second argument is the circle
        return list(error.args[1])
    return []


def drawing() -> str:
    """The layers and the imports between parts as a Mermaid diagram; an arrow that others imply is left out."""
    direct: dict[str, set[str]] = {name: set() for name in ORDER}
    for _, source, target in arrows():
        if source in direct and target in direct:
            direct[source].add(target)

    def reachable(name: str) -> set[str]:
        return direct[name].union(*(reachable(target) for target in direct[name]))

    lines = ["```mermaid", "flowchart TD"]
    for number, (title, parts) in enumerate(LAYERS.items()):
        lines += [f'  subgraph layer{number}["{title}"]', *(f"    {name}" for name in parts), "  end"]
    for source in ORDER:
        implied = set().union(*(reachable(target) for target in direct[source]))
        lines += [f"  {source} --> {target}" for target in sorted(direct[source] - implied, key=ORDER.index)]
    return "\n".join([*lines, "```"])


def documented(text: str) -> str:
    """CONTRIBUTING.md with today's drawing."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{drawing()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    contributing = ROOT / "CONTRIBUTING.md"
    contributing.write_text(documented(contributing.read_text(encoding="utf-8")), encoding="utf-8")
