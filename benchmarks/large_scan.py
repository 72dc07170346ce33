"""A scan of many megapixels through ``edge-scs enhance``: time and the process's peak resident memory.

    python benchmarks/large_scan.py --side 10000 --scale 2 --format tiff

The scan is made of mirrored copies of an embedded photograph, grey, stored as an 8-bit TIFF. Prints one JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image


def make_scan(path: Path, side: int) -> None:
    tile = np.asarray(Image.fromarray(skimage.data.astronaut()).convert("L"))
    tile = np.block([[tile, tile[:, ::-1]], [tile[::-1], tile[::-1, ::-1]]])
    count = -(-side // tile.shape[0])
    Image.fromarray(np.tile(tile, (count, count))[:side, :side]).save(path, compression="tiff_adobe_deflate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=10_000, help="pixels a side of the square scan")
    parser.add_argument("--scale", default="2")
    parser.add_argument("--format", default="tiff", choices=["tiff", "png"])
    parser.add_argument("--model", default="edge_scs_s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scan, out = Path(folder, "scan.tif"), Path(folder, f"out.{'tif' if options.format == 'tiff' else 'png'}")
        make_scan(scan, options.side)
        command = [sys.executable, "-m", "edge_scs", "enhance", scan, "-o", out, "--scale", options.scale]
        command += ["--model", options.model, "--max-output-pixels", str(10**10)]
        begun = time.monotonic()
        subprocess.run(list(map(str, command)), check=True)
        seconds = time.monotonic() - begun
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        Image.MAX_IMAGE_PIXELS = None
        with Image.open(out) as result:
            size = result.size
        print(
            json.dumps(
                {
                    "megapixels_in": options.side**2 / 1e6, "megapixels_out": size[0] * size[1] / 1e6,
                    "scale": options.scale, "format": options.format, "model": options.model,
                    "seconds": round(seconds), "peak_rss_gb": round(peak / 1e9, 2),
                    "file_gb": round(out.stat().st_size / 1e9, 2),
                }
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
