"""What the comparisons of media share: the probe, a folder for files, counted checks, the ffmpeg program.

The script's first argument is the build folder; bin/media_probe is taken from there.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

build, folder = Path(sys.argv[1]), Path(tempfile.mkdtemp(prefix="media_parity_"))
probe = subprocess.Popen([build / "bin" / "media_probe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
rng = np.random.default_rng(7)
out = folder / "out.bin"
failures = 0


def check(name, ok, note=""):
    global failures
    failures += not ok
    print(("ok    " if ok else "FAIL  ") + name, note)


def ask(*words):
    probe.stdin.write(" ".join(str(w) for w in words) + "\n")
    probe.stdin.flush()
    answer = probe.stdout.readline().strip()
    if answer.startswith("error"):
        raise RuntimeError(answer)
    return answer.split()


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def picture(height, width, channels=3):
    """Smooth colours with edges and some noise: what a photograph asks of a codec."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 120 * np.sin(x / (5 + 3 * c) + y / (9 - c) + c) for c in range(channels)]
    image = np.stack(waves, -1) + rng.normal(0, 6, (height, width, channels))
    image[height // 3 : height // 2, width // 4 : width // 2] = 250 - image[height // 3 : height // 2, width // 4 : width // 2]
    return image.clip(0, 255).astype(np.uint8)


def encoders():
    return subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True).stdout


def finish():
    print(f"{failures} failed")
    sys.exit(failures > 0)
