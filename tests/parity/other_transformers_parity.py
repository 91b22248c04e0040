"""The comparisons of model_parity.py with other versions of transformers than the tests'; with ANTIPHON_LONG=1 alone.

other_transformers_parity.py PROBE [VERSION...]      # ./setup other-transformers fetches them

What fails must be what is known to differ between the versions: docs/models.md says it, too.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Cases, by a pattern of their name, for which a version computes something else than the tests' version, or cannot make
# the reference; each with the reason.
DIFFERS = {
    "5.24.0": {},
    "5.17.0": {
        r"^phi3 longrope.*: (32 greedy tokens|answers that end early)": "an answer that grows past the limit of the short factors loses its beginning there",
        r"^qwen2_vl_text positions, Qwen2\.5-VL, after_medium = grid": "the seconds of a grid of frames are cut to whole ones before they are multiplied",
        r": 32 tokens of 3 beams for each conversation": "other answers; why was not looked into",
        r"^(whole|voxtral|media_curves) stops": "Qwen2-Audio and Voxtral are written as language_model.model.model.…, which no other version reads",
        r"^processors stops": "Parakeet's needs librosa",
        r"^omni stops": "the function that counts a sound's vectors is elsewhere",
        r"^omni_sounds stops": "the function that writes a video with its sound is elsewhere",
        r"^methods stops": "the modules of DINOv2's attention, to which the reference puts adapters, have other names",
        r"^smolvlm stops": "its processor counts frames as videos",
    },
}


def failures(probe, version):
    folder = ROOT / ".cache" / f"transformers-{version}"
    if not folder.is_dir():
        sys.exit(f"{folder} is missing: ./setup other-transformers fetches it")
    words = [sys.executable, ROOT / "tests/parity/model_parity.py", probe]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True)
    if not re.search(r"^\d+ passed, \d+ failed$", done.stdout, re.M):
        sys.exit(f"transformers {version}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    print(f"transformers {version}: {done.stdout.splitlines()[-1]}", flush=True)
    return re.findall(r"^FAIL  (.*)$", done.stdout, re.M)


def main():
    if not os.environ.get("ANTIPHON_LONG"):
        return 77
    unexpected = 0
    for version in sys.argv[2:] or DIFFERS:
        failed = failures(sys.argv[1], version)
        new = [case for case in failed if not any(re.search(pattern, case) for pattern in DIFFERS[version])]
        gone = [pattern for pattern in DIFFERS[version] if not any(re.search(pattern, case) for case in failed)]
        for text in [f"differs: {case}" for case in new] + [f"does not differ any more: {pattern}" for pattern in gone]:
            print(f"transformers {version}: {text}")
        unexpected += len(new) + len(gone)
    return unexpected > 0


if __name__ == "__main__":
    sys.exit(main())
