"""The results table, from results.toml and the cards' front matter."""

import tomllib
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PCARN = "PCARN-M, official L1 weights"
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
        f"In int8, edge_scs_m is {found['int8']['faster']:g} times faster than in float32 ({_turns(found['int8'])} "
        f"over {found['int8']['turns']} turns; {found['int8']['noisy']:g} in a noisy run).",
        f"It is {found['scsnet']['faster']:g} times faster than SCSNet in eager PyTorch ({_against_scsnet(found)}).",
    ]
    return "\n".join(lines)


def statements() -> list[str]:
    """What docs/performance.md says of the same measurements elsewhere: its first sentences and its goals."""
    found = results()
    ours = {network["card"]: network for network in found["network"] if "card" in network}
    (theirs,) = (network for network in found["network"] if network.get("name") == PCARN)
    avx2 = {(p["card"], p["precision"]): p["faster"] for p in found["chart"]["points"]}
    m, s = (ours[name]["faster"] for name in ("edge_scs_m", "edge_scs_s"))
    slow_m, slow_s = (avx2[name, "float32"] for name in ("edge_scs_m", "edge_scs_s"))
    int8, memory = found["int8"], (ours["edge_scs_m"]["memory"], theirs["memory"])
    return [
        f"edge_scs_m with colour is {m[0]:g} to {m[1]:g} times faster than PCARN-M without",
        f"edge_scs_s {s[0]:g} to {s[1]:g} times",
        f"int8 is another {int8['faster']:.0f} times faster",
        f"the factors are {slow_m:.1f}, {slow_s:.0f} and {int8['avx2']:g}",
        f"| **{m[0]:g} and {m[1]:g} in two runs** | {slow_m:.1f}: missed |",
        f"| **{s[0]:g} and {s[1]:g}** | {slow_s:.1f}: missed |",
        f"**{memory[0]} of {memory[1]} MB: {100 * memory[0] / memory[1]:.0f} %**",
        f"| **{int8['faster']:g}** ({_turns(int8)}, {int8['turns']} turns, quiet); {int8['noisy']:g} in a noisy run "
        f"| {int8['avx2']:g}: missed |",
        f"| **{found['scsnet']['faster']:g}** ({_against_scsnet(found)}) | {found['scsnet']['avx2']:g}: missed |",
        f"| {int8['faster']:g} ({_turns(int8)}, {int8['turns']} turns) | {int8['avx2']:g} |",
        f"{slow_m:.2f}x (",
        f"{slow_s:.2f}x (",
        f"{avx2['edge_scs_m', 'int8']:.2f}x (",
    ]


def _turns(int8: dict[str, Any]) -> str:
    return f"{int8['least']:g} to {int8['most']:g}"


def _against_scsnet(found: dict[str, Any]) -> str:
    return f"{found['scsnet']['int8_ms']:g} ms and {found['scsnet']['eager_ms']:,} ms"
