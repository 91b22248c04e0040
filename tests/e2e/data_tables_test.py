"""Tables (Parquet) of docs/data.md: each is read as the lines that say the same."""

import datetime
import importlib.util
import random
import re
import subprocess
import unittest

from formats import PAGE, Formats, blocks
from harness import losses, main, records, sets


@unittest.skipUnless(importlib.util.find_spec("pyarrow"), "pyarrow, which brings Arrow's C++ library, is not installed (./setup python)")
class Tables(Formats):
    def media(self, name, path=True):
        return {"bytes": (self.data / name).read_bytes(), "path": name if path else None}

    def write_table(self, name, rows, **options):
        import pyarrow
        from pyarrow import parquet
        parquet.write_table(pyarrow.Table.from_pylist(rows), self.data / name, **options)
        return self.data / name

    def tiny_rows(self):
        """The tiny training set as Hugging Face has it: messages with media in them as {bytes, path}."""
        source, rows = self.folder / "data", []
        for record in records(source / "train.jsonl"):
            row = {"id": record["id"], "task": record["task"], "images": [], "audios": [], "messages": []}
            for message in record["messages"]:
                row["messages"].append({"role": message["role"], "content": "".join("<image>" if part["type"] == "image" else "<audio>" if part["type"] == "audio" else part["text"] for part in message["content"])})
                for part in message["content"]:
                    if part["type"] != "text":
                        row[part["type"] + "s"].append({"bytes": (source / part[part["type"]]).read_bytes(), "path": part[part["type"]] if part["type"] == "audio" else None})
            rows.append(row)
        return rows

    def test_equal_to_files(self):
        """Tables of several row groups, files and codecs give the run of lines and files; a stopped one goes on exactly."""
        settings = sets(train__steps=6, train__checkpoint_every=3)
        rows = self.tiny_rows()
        self.train(self.data / "files", *settings)
        self.write_table("all.parquet", rows, row_group_size=5, data_page_size=1000)
        self.write_table("part-00000-of-00002.parquet", rows[:11], compression="none", use_dictionary=False)
        self.write_table("part-00001-of-00002.parquet", rows[11:], compression="zstd", row_group_size=3)
        for number, name in enumerate(["all.parquet", "part-*.parquet"]):
            run = self.data / f"run_{number}"
            done = self.train(run, *settings, config=self.config_for(self.data / name))
            self.assertIn(f"{len(rows)} records, read by parquet as messages", done.stderr)
            self.assertEqual(losses(run), losses(self.data / "files"))
        self.compare_resumed(run, *settings)

    def test_written(self):
        """What is written trains as the files do, and is what Hugging Face's data sets open."""
        settings = sets(train__steps=4)
        self.train(self.data / "files", *settings)
        self.assertIn("wrote 24 records to 1 files; each was read again and says the same", self.convert(self.folder / "data" / "train.jsonl", "tiny.parquet"))
        self.train(self.data / "table", *settings, config=self.config_for(self.data / "tiny.parquet"))
        self.assertEqual(losses(self.data / "table"), losses(self.data / "files"))
        self.assertEqual([path.name for path in self.data.glob("tiny.par*")], ["tiny.parquet"])
        if not importlib.util.find_spec("datasets"):
            return
        import datasets
        from PIL import Image
        found, source = datasets.Dataset.from_parquet(str(self.data / "tiny.parquet"), cache_dir=str(self.data / "cache")), records(self.folder / "data" / "train.jsonl")
        self.assertIsInstance(found.features["images"].feature if hasattr(found.features["images"], "feature") else found.features["images"][0], datasets.Image)
        self.assertEqual([row["id"] for row in found.select_columns("id")], [row["id"] for row in source])
        for row, written in zip(found.select_columns(["images", "messages"]), source):
            names = [part["image"] for part in written["messages"][0]["content"] if part["type"] == "image"]
            self.assertEqual([picture.tobytes() for picture in row["images"] or []], [Image.open(self.folder / "data" / name).convert("RGB").tobytes() for name in names])
            self.assertEqual([part["text"] for part in row["messages"][0]["content"] if part["type"] == "text"], [part["text"] for part in written["messages"][0]["content"] if part["type"] == "text"])

    def test_every_layout_written(self):
        """Records of the page as tables, calls of tools and thoughts among them, are read the same; what a column cannot hold is refused."""
        talks = self.write("talks.jsonl", [record for section in ["", "Layouts of other programs"] for block in blocks(section)[:1] for record in block])
        pages, pairs = self.write("pages.jsonl", sum(blocks("Documents"), [])), self.write("pairs.jsonl", blocks("Several answers to one prompt")[0])
        pieces = self.write("pieces.jsonl", [{"id": "a", "audio_filepath": "talk.wav", "offset": 0.25, "duration": 0.5, "text": "low"}, {"id": "b", "audio_filepath": ["a.wav", "b.wav"], "text": "two"}])
        asked = self.write("asked.jsonl", [{"image": "cat.png", "context": "What?", "answers": ["A cat."]}, {"images": ["cat.png", "dog.png"], "context": ["<image>What?", "<image>Where?"], "answers": ["Two.", "Here."]}])
        for source, layout in ((talks, "messages"), (pages, "messages"), (pairs, "messages"), (pages, "interleaved"), (pairs, "preference"), (pieces, "nemo_manifest"), (asked, "captioned"), (asked, "conversations"), (asked, "alpaca")):
            with self.subTest(source.stem, layout=layout):
                if (source, layout) in ((pages, "interleaved"), (pairs, "preference")):
                    source = self.write("first.jsonl", records(source)[:1])
                said = self.convert(source, f"{source.stem}_{layout}.parquet", "--layout", layout)
                self.assertIn(f"wrote {len(records(source))} records", said)
        odd = self.write("odd.jsonl", [{"query": "a", "response": "b"}, {"query": "a", "response": "b", "when": "now"}, {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "tools": [{"name": "f", "parameters": {}}]}])
        self.assertIn("wrote 3", self.convert(odd, "odd.parquet"))

    def test_columns(self):
        """Each layout of columns that the page tells of."""
        parts = [{"type": "image", "image": self.media("cat.png", False), "text": None}, {"type": "text", "image": None, "text": "What is this?"}]
        answer = [{"type": "text", "image": None, "text": "A cat."}]
        for name, row, layout in [
            ("caption", {"image": self.media("cat.png"), "caption": "A cat."}, "captioned"),
            ("text", {"audio": self.media("talk.wav", False), "text": "good morning", "speaker_id": 7}, "captioned"),
            ("same_name", {"images": [self.media("cat.png"), self.media("cat.png")], "text": "Two."}, "captioned"),
            ("alpaca", {"instruction": "What is this?", "output": "A cat.", "images": [self.media("cat.png")], "when": datetime.datetime(2026, 1, 2)}, "alpaca"),
            ("talk", {"image": self.media("cat.png"), "conversations": [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "A cat."}]}, "conversations"),
            ("parts", {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": answer}]}, "messages"),
            ("beside", {"image": {"bytes": None, "path": "dog.png"}, "caption": "A dog."}, "captioned"),
            ("bytes", {"image": (self.data / "cat.png").read_bytes(), "caption": "A cat."}, "captioned"),
        ]:
            with self.subTest(columns=name):
                path = self.write_table(f"{name}.parquet", [row])
                self.assertEqual(self.check(path)["bad"], 0)
                self.trains(path, f"1 records, read by parquet as {layout}")
        named = re.search(r"(?s)## Tables.*?```toml\n.*?(rename = .*?)```", PAGE)[1]
        path = self.write_table("named.parquet", [{"jpg": self.media("cat.png"), "txt": "A cat.", "embedding": [0.5, float("nan")]}])
        self.assertIn('ignore = ["embedding"]', self.train(self.data / "never", code=3, config=self.config_for(path)).stderr)
        self.trains(path, "1 records, read by parquet as captioned", named)
        self.write_table("more-0.parquet", [{"jpg": self.media("cat.png"), "txt": "A cat."}])
        self.write_table("more-1.parquet", [{"jpg": self.media("dog.png"), "txt": "A dog.", "embedding": [float("inf")]}])
        self.trains(self.data / "more-*.parquet", "2 records, read by parquet as captioned", named)
        for wrong in (named.replace("txt =", "text =").replace('= "text"', '= "caption"'), named.replace("embedding", "embeddings")):
            self.assertIn("no record has the key", self.train(self.data / "never", code=3, config=self.config_for(path, wrong)).stderr)
        old = 'source = "parquet"\nsource_options = { rename = { image = "jpg" } }'
        self.assertIn("`rename` is an option of every source now", self.train(self.data / "never", code=2, config=self.config_for(path, old)).stderr)

    def test_types_of_columns(self):
        """Columns of every type that Arrow may have beside a caption are read, or refused by name with what mends it; ignored they are not read."""
        import pyarrow
        from pyarrow import parquet
        caption = {"image": pyarrow.array([self.media("cat.png")] * 2), "caption": pyarrow.array(["A cat.", "Cat."])}
        for name, column, words in [
            ("pairs", pyarrow.array([[1, 2], None], pyarrow.list_(pyarrow.int32(), 2)), None),
            ("halves", pyarrow.array([0.5, None]).cast(pyarrow.float16()), None),
            ("maps", pyarrow.array([[("a", 1)], [("b", 2)]], pyarrow.map_(pyarrow.string(), pyarrow.int32())), "is of the type map<"),
            ("spans", pyarrow.array([1, 2], pyarrow.duration("s")), "is of the type duration["),
            ("nans", pyarrow.array([float("nan")] * 2), "holds no number here: nan"),
            ("infinities", pyarrow.array([float("-inf")] * 2).cast(pyarrow.float16()), "holds no number here: -inf"),
        ]:
            with self.subTest(column=name):
                path = self.data / f"{name}.parquet"
                parquet.write_table(pyarrow.table({**caption, name: column}), path)
                ignored = f'ignore = ["{name}"]'
                if words:
                    said = self.train(self.data / "never", code=3, config=self.config_for(path)).stderr
                    self.assertIn(f"the column '{name}' {words}", said)
                    self.assertIn(ignored, said)
                else:
                    self.trains(path, "2 records, read by parquet as captioned")
                self.trains(path, "2 records, read by parquet as captioned", ignored)

    def test_damage(self):
        rows = [{"id": str(n), "image": self.media("cat.png"), "caption": f"{n}"} for n in range(40)]
        path = self.write_table("whole.parquet", rows, row_group_size=10, compression="none", use_dictionary=False)
        whole = path.read_bytes()
        for name, content, words in [("cut.parquet", whole[:-100], "cut.parquet"), ("half.parquet", whole[:len(whole) // 2], "half.parquet"), ("footer.parquet", whole[:-8] + b"\xff\xff\xff\x7fPAR1", "footer.parquet"),
                                     ("none.parquet", b"PAR1", "none.parquet")]:
            (self.data / name).write_bytes(content)
            self.assertIn(words, self.train(self.data / "never", code=3, config=self.config_for(self.data / name)).stderr)
        odd = self.write_table("odd.parquet", [{"image": self.media("cat.png"), "caption": "a", "x": {"k": None}, "odd": float("nan")}])
        self.assertIn("holds no number", self.train(self.data / "never", code=3, config=self.config_for(odd)).stderr)

    def test_mutations(self):
        """Whatever stands in a file, the program ends with words and an exit code of its own."""
        rows = [{"id": str(n), "image": {"bytes": b"P" * 50, "path": f"{n}.png"}, "messages": [{"role": "user", "content": "x"}]} for n in range(20)]
        whole = self.write_table("whole.parquet", rows, row_group_size=7).read_bytes()
        noise, refused = random.Random(4), 0
        for number in range(60):
            content = bytearray(whole)
            for _ in range(noise.randrange(1, 6)):
                content[noise.randrange(len(content) // 2 * (number % 2), len(content))] = noise.randrange(256)
            path = self.data / "mutated.parquet"
            path.write_bytes(content)
            done = subprocess.run(self.command("data", "check", path, "--json"), capture_output=True, text=True, timeout=60)
            self.assertIn(done.returncode, (0, 3), done.stderr[-2000:])
            self.assertNotIn("internal error", done.stderr)
            refused += done.returncode == 3
        self.assertGreater(refused, 20)


if __name__ == "__main__":
    main()
