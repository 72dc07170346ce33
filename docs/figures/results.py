"""The results table, from results.toml and the cards' front matter."""

import tomllib
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CARDS = HERE.parents[1] / "edge_scs" / "weights"


def card(name: str) -> dict[str, Any]:
    """The front matter of a card: the YAML between the first two lines of three dashes."""
    _, front, _ = (CARDS / f"{name}.md").read_text(encoding="utf-8").split("---\n", 2)
    return dict(yaml.safe_load(front))


def results() -> dict[str, Any]:
    return tomllib.loads((HERE / "results.toml").read_text(encoding="utf-8"))


def row(network: dict[str, Any]) -> list[str]:
    if "card" in network:
        facts = card(network["card"])
        network = network | {
            "name": f"**{facts['model']}**",
            "mult_adds": facts["mult_adds"],
            "megabytes": [facts["megabytes_float32"], facts["megabytes_int8"]],
            "psnr": [facts["b100_x4_psnr_y"], facts["b100_x4_psnr_y_int8"]],
        }
    return [
        network["name"],
        " and ".join(f"{value:g}x" for value in network.get("faster", [])),
        f"{network['memory']} MB" if "memory" in network else "",
        " / ".join(f"{value:.3f}" for value in network["psnr"]),
        network.get("mult_adds", ""),
        " / ".join(f"{value:.2f}" for value in network.get("megabytes", [])),
        "yes" if network["colour"] else "no",
    ]


def table() -> str:
    """Markdown: the table, its setting and notes; ends without a line break."""
    found = results()
    setting = found["setting"]
    head = ["x4", "faster", "memory", "PSNR-Y, dB", "MultAdds", "`.pte`, MB", "colour"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row(network)) + " |" for network in found["network"]]
    lines += [
        "",
        f"{setting['image']}, on {setting['machine']}; {setting['versions']}, {setting['date']}.",
        "Faster: than PCARN-M, in two runs; speed and memory are ExecuTorch's in float32. PSNR-Y: B100, grey input.",
        "Pairs with a slash: float32 / int8. Made by",
        *[f"`{command}`{'.' if command == setting['commands'][-1] else ','}" for command in setting["commands"]],
        "",
        *setting["notes"],
    ]
    return "\n".join(lines)
