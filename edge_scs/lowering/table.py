"""What ``export --target all`` prints at the end."""

from collections.abc import Sequence

from edge_scs.artifacts.manifest import Manifest
from edge_scs.lowering.targets import Refusal

HEAD = ("preset", "MB", "delegated", "parity", "needed", "verdict")


def render(manifests: Sequence[Manifest], refused: Sequence[Refusal]) -> str:
    """A row for every artifact, and a line for every preset without one."""
    rows = [HEAD]
    for manifest in manifests:
        parity = manifest.parity
        share = "-" if manifest.delegated_share is None else f"{manifest.delegated_share:.0%}"
        measured = "-" if parity is None or parity.psnr_db is None else f"{parity.psnr_db:.1f} dB"
        verdict = "not verified" if parity is None else parity.verdict
        least = f"{manifest.min_psnr_db:g} dB"
        rows.append((manifest.preset, f"{manifest.bytes / 1e6:.2f}", share, measured, least, verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in (0, 5) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines += [f"{r.preset}: {'failed' if r.failed else 'refused'}: {' '.join(r.reason.split())}" for r in refused]
    return "\n".join(lines)
