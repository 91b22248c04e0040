"""The parts of the benchmark about media and files: encoders, front ends, video, checkpoints, weights."""

import subprocess

from bench import HERE, MODEL, PACKAGES, PYTHON
from rows import Row

ENCODERS = (("whisper", 1, "Whisper base, 30 s of sound"), ("clip", 8, "CLIP ViT-B/32, 8 pictures"), ("siglip", 8, "SigLIP base/16, 8 pictures"))


def missing(bench, what):
    """Says so if the packages of `./setup bench-python` are not there."""
    if not PACKAGES.exists():
        bench.skip(f"{what}: the peers' packages are not there (./setup bench-python)")
    return not PACKAGES.exists()


def encoders(bench):
    for what, batch, name in ENCODERS:
        words = ["--what", what, "--batch", batch, "--dtype", "bf16", *bench.repeats()]
        bench.compare({"ours": [bench.ours, "encode", "--model", MODEL, *words], "peer": [PYTHON, HERE / "peer_encode.py", *words]},
                      [(Row(f"encoder: {name}, bf16", "1/s", "higher", peer="transformers", goal=("C9", 1.2)), "ours.items_per_s", "peer.items_per_s")])


def front_ends(bench):
    """One thread on both sides: a loader thread here, a worker of a DataLoader there."""
    if missing(bench, "front ends"):
        return
    words = bench.repeats(threads=1)
    bench.compare({"ours": [bench.ours, "mel", *words], "peer": [PYTHON, HERE / "peer_front.py", "--what", "mel", *words]},
                  [(Row("log-mel of 30 s, one thread", "s", "lower", peer="WhisperFeatureExtractor", goal=("C10", 0.5)), "ours.wall_med_s", "peer.whisper_s"),
                   (Row("log-mel of 30 s, one thread", "s", "lower", peer="torchaudio"), "ours.wall_med_s", "peer.torchaudio_s")])
    words = ["--batch", 8, *words]
    bench.compare({"ours": [bench.ours, "pictures", *words], "peer": [PYTHON, HERE / "peer_front.py", "--what", "pictures", *words]},
                  [(Row("640x480 to 224x224 pixels, one thread", "pictures/s", "higher", peer="CLIPImageProcessor (torchvision)", goal=("C10", 2.0)), "ours.pictures_per_s", "peer.torchvision_per_s"),
                   (Row("640x480 to 224x224 pixels, one thread", "pictures/s", "higher", peer="CLIPImageProcessorPil"), "ours.pictures_per_s", "peer.pil_per_s")])


def video(bench):
    if missing(bench, "video"):
        return
    clip, words = bench.folder / "clip.mp4", bench.repeats()
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=10", "-c:v", "libx264", "-g", "60", "-pix_fmt", "yuv420p", str(clip)], check=True)
    what, unit = "video 720p to 224x224", "frames/s"
    bench.compare({"ours": [bench.ours, "video", "--file", clip, *words], "peer": [PYTHON, HERE / "peer_video.py", "--file", clip, *words]},
                  [(Row(f"{what}, a clip a thread", unit, "higher", peer="PyAV, likewise", goal=("C16", 1.25)), "ours.clips_fps", "peer.clips_fps"),
                   (Row(f"{what}, one clip", unit, "higher", peer="PyAV, all threads on it", goal=("C16", 1.25)), "ours.one_clip_fps", "peer.one_clip_fps"),
                   (Row(f"{what}, a clip a thread", unit, "higher", peer="ffmpeg, all threads on one"), "ours.clips_fps", "peer.ffmpeg_fps")])


def tokenizers(bench):
    """Lines of text in many scripts, one thread."""
    for kind, peer in {"bpe": "tokenizers", "unigram": "tokenizers", "wordpiece": "tokenizers", "sentencepiece": "sentencepiece", "tiktoken": "tiktoken"}.items():
        folder, words = bench.folder / kind, bench.repeats(threads=1)
        subprocess.run([PYTHON, HERE / "peer_tokenize.py", "--make", "--kind", kind, "--folder", folder], check=True)
        command = [PYTHON, HERE / "peer_tokenize.py", "--kind", kind, "--folder", folder, *words]
        sides, what = {"ours": [bench.ours, "tokenize", "--folder", folder, *words], "peer": command}, f"text to ids, {kind}, one thread"
        metrics = [(Row(what, "MB/s", "higher", peer=peer, goal=("C10", 1.0) if peer == "tokenizers" else ()), "ours.mb_per_s", "peer.mb_per_s")]
        if peer != "tokenizers":  # beside the package that the file is of, the one that transformers takes for it
            sides["converted"] = [*command, "--by", "tokenizers"]
            metrics.append((Row(what, "MB/s", "higher", peer="tokenizers", goal=("C10", 1.0)), "ours.mb_per_s", "converted.mb_per_s"))
        bench.compare(sides, metrics)


def files(bench):
    folder, words = bench.folder / "files", bench.repeats()
    folder.mkdir(exist_ok=True)
    size = "checkpoint of 512 MB"
    bench.compare({"ours": [bench.ours, "checkpoint", "--folder", folder / "ours", *words], "peer": [PYTHON, HERE / "peer_files.py", "--what", "checkpoint", "--folder", folder / "theirs", *words]},
                  [(Row(f"{size}: the step waits", "s", "lower", peer="a copy in memory", goal=("C12", 1.0)), "ours.blocked_s", "ours.copy_s"),
                   (Row(f"{size}: the step waits", "s", "lower", peer="torch.distributed.checkpoint, async"), "ours.blocked_s", "peer.async_blocked_s"),
                   (Row(f"{size}: until it is on the disk", "s", "lower", peer="torch.distributed.checkpoint, async", goal=("C12", 0.625)), "ours.total_s", "peer.async_total_s"),
                   (Row(f"{size}: until it is on the disk", "s", "lower", peer="the bytes alone, with fsync", goal=("C12", 1.1)), "ours.total_s", "peer.raw_write_s")])
    bench.compare({"ours": [bench.ours, "load", "--folder", folder, *words], "peer": [PYTHON, HERE / "peer_files.py", "--what", "load", "--folder", folder, *words]},
                  [(Row("512 MB of safetensors to tensors of one's own", "GB/s", "higher", peer="safetensors.torch.load_file, cloned", goal=("C13", 1.0)), "ours.own_gb_s", "peer.own_gb_s"),
                   (Row("the same, mapped", "s", "lower", peer="safetensors.torch.load_file"), "ours.mapped_s", "peer.mapped_s")])
