"""Bad samples are skipped, counted and listed once with file, line and reason; too many of them end the run."""

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import make_tiny
from harness import Case, main, records, sets

DEEP = b'{"id": ' + b"[" * 60000 + b"]" * 60000 + b', "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}'
COMMON = sets(train__tokens_per_batch=128, train__checkpoint_every=10, train__steps=20)


def conversation(*parts, answer="red", **extra):
    return {"messages": [make_tiny.message("user", *parts), make_tiny.message("assistant", {"type": "text", "text": answer})], **extra}


def image(path, **extra):
    return {"type": "image", "image": path, **extra}


def audio(path, **extra):
    return {"type": "audio", "audio": path, **extra}


class BadSamples(Case):
    def bad_lines(self, data):
        """(line of the manifest as bytes, words that the reason must hold); writes the media into `data`."""
        png, wav = make_tiny.png_bytes((1, 2, 3), random.Random(1)), (data / "train_1.wav").read_bytes()
        (data / "secret.txt").write_text("the secret")
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{data}/secret.txt\n#EXT-X-ENDLIST\n".encode()
        media = {"half.png": png[: len(png) // 2], "flipped.png": png[:60] + bytes([png[60] ^ 255]) + png[61:], "empty.png": b"", "text.png": b"this is not a picture", "sound.png": wav,
                 "half.wav": wav[: len(wav) // 2], "header.wav": wav[:44], "half_header.wav": wav[:20], "empty.wav": b"", "picture.wav": png, "list.wav": playlist, "list.mp4": playlist,
                 "concat.wav": f"ffconcat version 1.0\nfile {data}/train_1.wav\n".encode()}
        for name, content in media.items():
            (data / name).write_bytes(content)
        (data / "folder.png").mkdir(exist_ok=True)
        plain = {"type": "text", "text": "x"}
        lines = [(conversation(image("nowhere.png")), "nowhere.png"), (conversation(audio("nowhere.wav")), "nowhere.wav"), (conversation(image("folder.png")), "folder.png")]
        lines += [(conversation(image(name) if name.endswith(".png") else audio(name)), name) for name in media]
        lines += [
            (conversation(image("train_0.png", stream="depth")), "depth"),
            (conversation(audio("train_1.wav", stream="image")), "no stream"),
            (conversation(image("a\0b.png")), "NUL"),
            (conversation({"type": "video", "video": "x.mp4"}), "x.mp4"),
            (conversation({"type": "text", "text": "long " * 300}), "tokens"),
            ({"messages": [make_tiny.message("user", plain)]}, "supervised"),
            ({"messages": [make_tiny.message("robot", plain)]}, "robot"),
            ({"messages": [make_tiny.message("assistant", image("train_0.png"))]}, "assistant"),
            ({"messages": []}, "empty"),
            ({"text": "nothing else"}, "messages"),
            ({"conversations": [{"from": "human", "value": "<image><image>"}, {"from": "gpt", "value": "red"}], "image": "train_0.png"}, "more <image> marks"),
        ]
        encoded = [(json.dumps(record).encode(), words) for record, words in lines]
        return encoded + [(b'{"messages": [', "JSON"), (b"[1, 2]", "object"), (b'{"messages": "\xff\xfe"}', "UTF-8"), (b"\x00\x01", "JSON"), (b'{"messages": ' + b"[" * 5000, "nested more than 64 levels deep"), (DEEP, "nested more than 64 levels deep")]

    def mixed(self):
        """A manifest with good and bad lines by turns; returns it and {line number: words}."""
        data = self.folder / "data"
        good = (data / "train.jsonl").read_bytes().splitlines()
        bad = self.bad_lines(data)
        lines, expected = [], {}
        for i in range(max(len(good), len(bad))):
            if i < len(good):
                lines.append(good[i])
            if i < len(bad):
                lines.append(bad[i][0])
                expected[len(lines)] = bad[i][1]
        path = data / "mixed.jsonl"
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path, expected

    def use(self, path):
        """A configuration that trains on this manifest alone."""
        config = self.folder / f"{path.stem}.toml"
        config.write_text(self.config.read_text().replace("data/train.jsonl", f"data/{path.name}"))
        return {"config": config}

    def write(self, name, lines):
        path = self.folder / "data" / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def test_each_kind_is_listed_once(self):
        path, expected = self.mixed()
        run = self.folder / "mixed"
        allowed = sets(data__max_bad_fraction=0.9)
        text = self.train(run, *COMMON, *allowed, **self.use(path)).stderr
        self.train(run, *COMMON, *allowed, "--resume", *sets(train__steps=25), **self.use(path))
        listed = records(run / "bad_samples.jsonl")
        self.assertEqual(sorted(r["line"] for r in listed), sorted(expected), "each bad line is listed, once, and no good one")
        for record in listed:
            self.assertEqual(record["file"], str(path))
            self.assertIn(expected[record["line"]], record["reason"])
            self.assertNotIn("the secret", record["reason"])
            self.assertIn(f"{path}:{record['line']}: skipped", text)
        self.assertGreaterEqual(records(run / "metrics.jsonl")[-1]["train/bad_samples"], len(expected))
        self.assertRegex(text, r"[1-9][0-9]* samples skipped")

    def test_a_deep_line_alone(self):
        path = self.folder / "data" / "deep.jsonl"
        path.write_bytes(DEEP + b"\n")
        self.assertIn("nested more than 64 levels deep", self.call("data", "check", path, code=3).stdout)

    def test_limit_in_a_row(self):
        path = self.write("gone.jsonl", [conversation(image("nowhere.png")) for _ in range(30)])
        text = self.train(self.folder / "row", *COMMON, *sets(data__max_consecutive_bad=5), code=3, **self.use(path)).stderr
        self.assertIn("last 5 in a row", text)
        self.assertIn(f"{path}:", text)

    def test_limit_of_the_share(self):
        good = records(self.folder / "data" / "train.jsonl")
        path = self.write("share.jsonl", good + [conversation(image("nowhere.png")) for _ in range(6)])
        text = self.train(self.folder / "share", *COMMON, *sets(train__steps=200, data__max_bad_fraction=0.1), code=3, **self.use(path)).stderr
        self.assertIn("samples are bad", text)
        self.train(self.folder / "share_allowed", *COMMON, *sets(train__steps=40, data__max_bad_fraction=0.3), **self.use(path))

    def test_all_bad_never_hangs(self):
        path = self.write("none.jsonl", [conversation(image("nowhere.png")) for _ in range(7)])
        limits = sets(data__max_consecutive_bad=10**9, data__max_bad_fraction=1)
        self.assertIn("7 of 7 samples are bad", self.train(self.folder / "none", *COMMON, *limits, code=3, **self.use(path)).stderr)

    def test_no_samples(self):
        path = self.folder / "data" / "blank.jsonl"
        path.write_text("\n \n")
        self.assertIn("no samples", self.train(self.folder / "blank", *COMMON, code=3, **self.use(path)).stderr)
        path.unlink()
        self.assertIn("blank.jsonl", self.train(self.folder / "blank", *COMMON, code=3, **self.use(path)).stderr)

    def test_eval_skips_too(self):
        path, expected = self.mixed()
        config = self.folder / "eval_mixed.toml"
        config.write_text(self.config.read_text().replace("data/held.jsonl", "data/mixed.jsonl"))
        output = self.folder / "eval_mixed"
        self.call("eval", config, "--output", output, *sets(eval__generate="false"))
        results = json.loads((output / "results.json").read_text())
        # What is too long for a batch of training still fits into the model's context here, or not.
        self.assertIn(results[0]["skipped"], [len(expected), len(expected) - 1])


if __name__ == "__main__":
    main()
