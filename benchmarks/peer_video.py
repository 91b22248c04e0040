"""Every frame of a clip to 224x224 RGB with PyAV and with the ffmpeg program. The pair of `antiphon_bench video`."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

from peer_common import arguments, emit, repeat, use_bench_packages

use_bench_packages()
parser = arguments(__doc__)
parser.add_argument("--file", required=True)
a = parser.parse_args()
import av

EDGE, THREADS = 224, max(a.threads, 1)


def frames(threads):
    """How many; all `threads` work on this clip."""
    count = 0
    with av.open(a.file) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.thread_count = ("AUTO" if threads > 1 else "NONE"), threads
        for frame in container.decode(stream):
            count += frame.reformat(width=EDGE, height=EDGE, format="rgb24", interpolation="BICUBIC").to_ndarray().shape[0] == EDGE
    return count


def clips_at_once():
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: frames(1), range(THREADS)))


def ffmpeg():
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-threads", str(THREADS), "-i", a.file, "-vf", f"scale={EDGE}:{EDGE}:flags=bicubic",
                    "-pix_fmt", "rgb24", "-f", "rawvideo", "/dev/null"], check=True)


count = frames(1)
walls = {"one_clip_fps": (repeat(lambda: frames(THREADS), a.warmup, a.reps), 1), "clips_fps": (repeat(clips_at_once, a.warmup, a.reps), THREADS), "ffmpeg_fps": (repeat(ffmpeg, a.warmup, a.reps), 1)}
emit("video", {"outputs": count, "threads": THREADS}, {key: [count * clips / wall for wall in seconds] for key, (seconds, clips) in walls.items()})
