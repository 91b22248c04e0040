"""The records of docs/data.md, as they stand there: each is read without an error, by the format that the page says, and trained on."""

import datetime
import gzip
import importlib.util
import io
import json
import random
import re
import shutil
import subprocess
import tarfile
import unittest

import make_tiny
from harness import ROOT, Case, checkpoints, losses, main, records, sets

PAGE = (ROOT / "docs" / "data.md").read_text()
# ChatML that shows tools, calls and results.
TEMPLATE = ("{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
            "{{ message['content'] or '' }}{% for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}{{ '<|im_end|>' + '\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def blocks(section):
    """The records of each json block below a heading of the page, or above the first ("")."""
    part = next(part for part in re.split(r"(?m)^## ", PAGE) if not section or part.startswith(section))
    return [list(objects(block)) for block in re.findall(r"(?ms)^```json\n(.*?)^```", part)]


def objects(text):
    at, decoder = 0, json.JSONDecoder()
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        yield value


class Formats(Case):
    def compare_resumed(self, run, *settings):
        """Gone on with from the checkpoint before its last."""
        half = self.data / "half"
        shutil.copytree(run, half)
        shutil.rmtree(half / "checkpoints" / checkpoints(half)[0])
        self.train(half, "--resume", *settings, config=self.data / "tiny.toml")
        self.assert_same_run(half, run)

    def setUp(self):
        self.data = self.folder / self.id().rsplit(".", 1)[1]
        self.data.mkdir()
        noise = random.Random(3)
        for name in ["cat.png", "dog.png"]:
            (self.data / name).write_bytes(make_tiny.png_bytes((200, 30, 30), noise))
        for name in ["a.wav", "b.wav", "talk.wav"]:
            make_tiny.write_wav(self.data / name, 400, noise, seconds=1.0)
        shutil.copy(ROOT / "tests" / "media" / "clip.mp4", self.data)

    def write(self, name, found):
        (self.data / name).write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in found))
        return self.data / name

    def config_for(self, path, options="", also=""):
        """The tiny model, trained on this alone, with a template that shows tools."""
        (self.data / "template.jinja").write_text(TEMPLATE)
        text = self.config.read_text().replace(f'path = "{self.folder}/data/train.jsonl"', f'path = "{path}"\n{options}')
        self.assertIn(str(path), text)
        config = self.data / "tiny.toml"
        config.write_text(text.replace("[data]", also + "[data]"))
        return config

    def trains(self, path, words, options="", steps=3):
        """A run without a bad sample, whose log says `words`; returns the run."""
        run = self.data / "run"
        shutil.rmtree(run, ignore_errors=True)
        done = self.train(run, *sets(model__llm__chat_template=self.data / "template.jinja", train__steps=steps, train__tokens_per_batch=1024, train__checkpoint_every=1),
                          config=self.config_for(path, options))
        self.assertIn(words, done.stderr)
        self.assertEqual(len(losses(run)), steps)
        self.assertEqual((run / "bad_samples.jsonl").read_text() if (run / "bad_samples.jsonl").exists() else "", "")
        return run

    def check(self, path, options="", code=0):
        (self.data / "template.jinja").write_text("")
        config = self.config_for(path, options)
        (self.data / "template.jinja").write_text(TEMPLATE)
        found = json.loads(self.call("data", "check", config, *sets(model__llm__chat_template=self.data / "template.jinja", train__tokens_per_batch=1024), "--json", code=code).stdout)
        return next(source for source in found["sources"] if source["set"] == "train")

    def convert(self, source, out, *args, code=0):
        return self.call("data", "convert", source, f"{self.data}/{out}", *args, code=code, threads=None).stderr

    def command(self, verb, *args, threads=1):
        return super().command(verb, *args, threads=None if args[:1] == ("convert",) else threads)


class Layouts(Formats):
    def test_turns(self):
        found = sum(blocks("")[:1] + blocks("Layouts of other programs"), [])
        self.assertGreater(len(found), 8)
        path = self.write("talks.jsonl", found)
        self.assertEqual(self.check(path)["bad"], 0)
        self.trains(path, f"{len(found)} records, read by json_lines as alpaca and conversations and messages")

    def test_media_elsewhere(self):
        """Records beside none of their media, as LLaVA's are."""
        (self.data / "lists").mkdir()
        record = blocks("")[0][2]
        self.assertEqual(record["image"], "cat.png")
        path = self.write("lists/talks.jsonl", [record])
        self.assertEqual(self.check(path, code=3)["bad"], 1)
        self.assertEqual(self.check(path, f'media_folder = "{self.data}"')["bad"], 0)
        self.trains(path, "1 records", f'media_folder = "{self.data}"')
        done = self.call("data", "check", self.config_for(path, f'media_folder = "{self.data}/nothing"'), code=3)
        self.assertIn("is not a folder", done.stdout + done.stderr)

    def test_other_names(self):
        """The record and the toml of the page: nothing reads it as it is; the run is that of the names of the layout, and does not go on with others."""
        section = re.search(r"(?s)## Keys by other names.*?(?=\n## )", PAGE)[0]
        record, names = blocks("Keys by other names")[0][0], re.search(r"(?s)path = .*?\n(.*?)```", section)[1]
        other, plain = self.write("other.jsonl", [record]), self.write("plain.jsonl", [{"image": record["image_path"], "question": record["prompt"], "answer": record["answer"]}])
        done = self.train(self.data / "never", code=3, config=self.config_for(other))
        for words in ("is of no layout that is known", "rename = {", "ignore = ["):
            self.assertIn(words, done.stderr)
        for wrong in (names.replace("image_url", "image_uri"), names.replace("image_path", "image_pth")):
            self.assertIn("no record has the key 'image_", self.train(self.data / "never", code=3, config=self.config_for(other, wrong)).stderr)
        self.assertEqual(self.check(other, names)["bad"], 0)
        expected = losses(self.trains(plain, "1 records, read by json_lines as captioned"))
        run = self.trains(other, "1 records, read by json_lines as captioned", names)
        self.assertEqual(losses(run), expected)
        settings = sets(model__llm__chat_template=self.data / "template.jinja", train__steps=4, train__tokens_per_batch=1024, train__checkpoint_every=1)
        done = self.train(run, *settings, "--resume", config=self.config_for(other, names.replace('prompt = "question"', 'prompt = "context"')), code=4)
        self.assertIn("--accept-changes", done.stderr)
        self.train(run, *settings, "--resume", config=self.config_for(other, names))

    def test_each_is_learnt(self):
        """Of each layout alone, a run learns its answers by heart."""
        for number, record in enumerate(sum(blocks("Layouts of other programs"), [])):
            with self.subTest(record=number):
                run = self.trains(self.write("one.jsonl", [record]), "1 records", steps=8)
                found = losses(run)
                self.assertLess(found[8], found[1])


class Documents(Formats):
    def test_records(self):
        """The records of the page, and what of them is learnt; converted, they are the same documents."""
        found = sum(blocks("Documents"), [])
        self.assertEqual(len(found), 3)
        path = self.write("pages.jsonl", found)
        self.assertEqual(self.check(path)["bad"], 0)
        self.trains(path, "3 records, read by json_lines as interleaved and messages")
        shown = self.call("data", "show", self.data / "tiny.toml", "--count", 3).stdout
        self.call("data", "convert", path, self.data / "again.jsonl", threads=None)
        self.assertEqual([message["role"] for record in records(self.data / "again.jsonl") for message in record["messages"]], ["document"] * 3)
        self.assertEqual(losses(self.trains(self.data / "again.jsonl", "read by json_lines as messages")), losses(self.trains(path, "3 records")))
        for said in ("[image 4: cat.png 32x32]«The·dog·is·outside:·»[image 4: dog.png 32x32]«<|im_end|>»", "«Two·animals·live·here.·»[image 4: cat.png 32x32]«One·is·a·cat.<|im_end|>»"):
            self.assertIn(said, shown)

    def test_least_similarity(self):
        path = self.write("pages.jsonl", [blocks("Documents")[0][1]])
        for least, pictures in (("0.24", 1), ("0.5", 0)):
            checked = self.check(path, f"format = \"interleaved\"\nformat_options = {{ least_similarity = {least} }}")
            self.assertEqual(len(checked["media"]), pictures)

    def test_pictures_after_their_sentence(self):
        path = self.write("pages.jsonl", [blocks("Documents")[0][1]])
        self.check(path, 'format = "interleaved"\nformat_options = { pictures = "after" }')
        self.assertIn("«Two·animals·live·here.·One·is·a·cat.»[image 4: cat.png 32x32]«<|im_end|>»", self.call("data", "show", self.data / "tiny.toml").stdout)

    def test_refused(self):
        picture = {"image_name": "cat.png", "matched_text_index": 0}
        for record, words in [({"texts": ["a"], "images": []}, "1 texts and 0 images"), ({"texts": ["a", None], "images": ["cat.png", None]}, "place 0 has both"),
                              ({"texts": [None], "images": [None]}, "neither"), ({"texts": [], "images": []}, "empty"),
                              ({"text_list": ["a"], "image_info": [{**picture, "matched_text_index": 1}]}, "one of 1 sentences"),
                              ({"text_list": ["a"], "image_info": [{**picture, "photo": "dog.png"}]}, "may name media"),
                              ({"text_list": ["a"], "image_info": [{**picture, "image_name": "https://a.example/cat.png"}]}, "is an address"),
                              ({"messages": [{"role": "document", "content": "a"}, {"role": "user", "content": "b"}]}, "role 'document'")]:
            with self.subTest(words):
                path = self.write("pages.jsonl", [record])
                (self.data / "template.jinja").write_text(TEMPLATE)
                done = self.call("data", "check", self.config_for(path), code=3)
                self.assertIn(words, done.stdout + done.stderr)


class Nemo(Formats):
    def test_manifest(self):
        found = blocks("NeMo's manifests")[0]
        path = self.write("manifest.jsonl", found)
        checked = self.check(path)
        self.assertEqual(checked["bad"], 0)
        self.assertAlmostEqual(checked["media"]["audio"]["seconds_total"], 0.5 + 0.5 + 1.0 + 0.5, places=3)
        self.trains(path, f"{len(found)} records, read by json_lines as nemo_manifest")

    def test_questions(self):
        """The toml of the page; every record shows a question of the file, the same one again, and another one in another epoch."""
        options = re.search(r"(?s)## NeMo's manifests.*?```toml\n.*?(format = .*?)```", PAGE)[1].replace("questions.txt", str(self.data / "questions.txt"))
        (self.data / "questions.txt").write_text("What is said?\nWrite it down.\n")
        path = self.write("manifest.jsonl", [{"audio_filepath": "talk.wav", "duration": 0.2 + 0.01 * i, "text": "low"} for i in range(20)])
        self.trains(path, "20 records, read by json_lines as nemo_manifest", options)
        shown = [self.call("data", "show", self.data / "tiny.toml", "--count", 20).stdout for _ in range(2)]
        self.assertEqual(shown[0], shown[1])
        asked = re.findall(r"talk\.wav .*?s\](.*?)<", shown[0])
        self.assertEqual((len(asked), set(asked)), (20, {"What·is·said?", "Write·it·down."}))
        later = re.findall(r"talk\.wav .*?s\](.*?)<", self.call("data", "show", self.data / "tiny.toml", "--count", 20, "--epoch", 1).stdout)
        self.assertEqual((len(later), set(later)), (20, {"What·is·said?", "Write·it·down."}))
        self.assertNotEqual(asked, later)
        (self.data / "questions.txt").write_text(f"What is said?\n{'Write it down. ' * 400}\n")
        checked = self.check(path, options, code=3)
        self.assertEqual(checked["bad"], asked.count("Write·it·down."), "those that the first epoch asks for what does not fit")
        (self.data / "questions.txt").write_text("What is said?\nWrite down all of it.\n")
        done = self.train(self.data / "run", *sets(model__llm__chat_template=self.data / "template.jinja", train__steps=4, train__tokens_per_batch=1024, train__checkpoint_every=1), "--resume", config=self.data / "tiny.toml", code=4)
        self.assertIn("--accept-changes", done.stderr)

    def test_pieces_are_those_samples(self):
        """A piece of a recording gives the loss of a file that holds just that."""
        import wave
        with wave.open(str(self.data / "talk.wav")) as whole:
            whole.setpos(4000)
            frames = whole.readframes(8000)
        with wave.open(str(self.data / "piece.wav"), "wb") as out:
            out.setnchannels(1), out.setsampwidth(2), out.setframerate(16000)
            out.writeframes(frames)
        cut = self.trains(self.write("cut.jsonl", [{"audio_filepath": "talk.wav", "offset": 0.25, "duration": 0.5, "text": "low"}]), "1 records")
        found = losses(cut)
        self.assertEqual(found, losses(self.trains(self.write("whole.jsonl", [{"audio_filepath": "piece.wav", "text": "low"}]), "1 records")))
        self.assertNotEqual(found, losses(self.trains(self.write("other.jsonl", [{"audio_filepath": "talk.wav", "duration": 0.5, "text": "low"}]), "1 records")))

    def test_tarred(self):
        """Recordings out of archives give the losses of the same recordings as files."""
        found = [{"audio_filepath": f"sub/{i}.wav", "offset": 0.1, "duration": 0.3, "text": "low"} for i in range(6)]
        (self.data / "sub").mkdir()
        (self.data / "tarred").mkdir()
        for i, record in enumerate(found):
            make_tiny.write_wav(self.data / record["audio_filepath"], 200 + 100 * i, random.Random(i), seconds=0.6)
        plain = losses(self.trains(self.write("manifest.jsonl", found), "6 records"))
        for shard in range(2):
            part = found[3 * shard:3 * shard + 3]
            self.write(f"tarred/manifest_{shard}.json", [{**record, "shard_id": shard} for record in part])
            write_tar(self.data / "tarred" / f"audio_{shard}.tar", {record["audio_filepath"]: (self.data / record["audio_filepath"]).read_bytes() for record in part})
        shutil.rmtree(self.data / "sub")
        text = re.search(r'(?s)path = "tarred/.*?\n(.*?)```', PAGE)[1].replace("tarred/", f"{self.data}/tarred/")
        tarred = self.trains(self.data / "tarred" / "manifest__OP_0..1_CL_.json", "6 records, read by json_lines as nemo_manifest", text)
        self.assertEqual(losses(tarred), plain)

    def test_a_list_beside_archives(self):
        """LLaVA's list of records and its pictures in tars give the losses of the same pictures as files."""
        (self.data / "images").mkdir()
        found, shards = [], [{}, {}]
        for i, (colour, rgb) in enumerate(make_tiny.COLOURS.items()):
            name = f"images/{i}.png"
            (self.data / name).write_bytes(make_tiny.png_bytes(rgb, random.Random(i)))
            shards[i % 2][name] = (self.data / name).read_bytes()
            found.append({"id": str(i), "image": name, "conversations": [{"from": "human", "value": "<image>\nWhat colour?"}, {"from": "gpt", "value": colour}]})
        path = self.data / "llava.json"
        path.write_text(json.dumps(found))
        words = f"{len(found)} records, read by json_list as conversations"
        plain = losses(self.trains(path, words))
        for number, shard in enumerate(shards):
            write_tar(self.data / f"images_{number}.tar", shard)
        shutil.rmtree(self.data / "images")
        options = f'source = "json_list"\nsource_options = {{ archives = "{self.data}/images_{{0..1}}.tar" }}\n'
        self.assertEqual(losses(self.trains(path, words, options)), plain)


def write_tar(path, members, form=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=form) as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


class Archives(Formats):
    def tiny_as_shards(self, form):
        """The tiny training set as two shards."""
        source = self.folder / "data"
        found, shards = records(source / "train.jsonl"), [{}, {}]
        for number, record in enumerate(found):
            shard = shards[number >= len(found) // 2]
            for part in record["messages"][0]["content"]:
                name = part.get("image") or part.get("audio")
                if name:
                    shard[f"{number:04}.{name.rsplit('.', 1)[1]}"] = (source / name).read_bytes()
                    part[part["type"]] = f"{number:04}.{name.rsplit('.', 1)[1]}"
            shard[f"{number:04}.json"] = json.dumps(record).encode()
        for number, shard in enumerate(shards):
            write_tar(self.data / f"pairs-{number:03}.tar", shard, form)
        return self.data / "pairs-{000..001}.tar", len(found)

    def test_equal_to_files(self):
        """Each dialect that Python writes gives the run that the lines and files give; a stopped run goes on exactly."""
        settings = sets(train__steps=6, train__checkpoint_every=3)
        self.train(self.data / "files", *settings)
        for form in [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]:
            path, count = self.tiny_as_shards(form)
            run = self.data / f"run_{form}"
            done = self.train(run, *settings, config=self.config_for(path))
            self.assertIn(f"{count} records, read by webdataset as messages", done.stderr)
            self.assertEqual(losses(run), losses(self.data / "files"))
        self.compare_resumed(run, *settings)

    def test_prepared_by_energon(self):
        """A folder with .nv-meta gives the run that lines give, of its part alone; a stopped run goes on exactly."""
        settings = sets(train__steps=6, train__checkpoint_every=3)
        pairs = [{"image": "cat.png", "context": f"What is {n}?", "answers": [f"It is {n}."]} for n in range(12)]
        self.train(self.data / "lines", *settings, config=self.config_for(self.write("pairs.jsonl", pairs)))
        folder = self.data / "prepared"
        (folder / ".nv-meta").mkdir(parents=True)
        picture = (self.data / "cat.png").read_bytes()
        for part, kept in {"s_0": pairs[:7], "s_1": pairs[7:], "held": pairs[:2]}.items():
            write_tar(folder / f"{part}.tar", {name: content for n, pair in enumerate(kept) for name, content in {
                f"{part}{n}.png": picture, f"{part}{n}.json": json.dumps([{"q": pair["context"], "a": pair["answers"]}]).encode()}.items()})
        (folder / ".nv-meta" / "dataset.yaml").write_text("__module__: megatron.energon\n__class__: VQAWebdataset\nfield_map:\n  image: png\n  context: json[0][q]\n  answers: json[0][a]\n")
        (folder / ".nv-meta" / "split.yaml").write_text("split_parts:\n  train:\n  - s_{0..1}.tar\n  val:\n  - held.tar\nexclude: []\n")
        run = self.data / "run"
        done = self.train(run, *settings, config=self.config_for(folder))
        self.assertIn("12 records, read by webdataset as captioned", done.stderr)
        self.assertEqual(losses(run), losses(self.data / "lines"))
        self.compare_resumed(run, *settings)
        self.assertEqual(self.check(folder, 'source_options = { part = "val" }\nsource = "webdataset"')["samples"], 2)

    def test_records(self):
        """The records of the page, as members beside their media."""
        found = blocks("Archives")[0]
        shard = {}
        for number, record in enumerate(found):
            media = {}
            text = json.dumps(record)
            for name in re.findall(r"[\w-]+\.(?:png|wav)", text):
                media[f"{number}.{name}"] = (self.data / name).read_bytes()
                text = text.replace(f'"{name}"', f'"{number}.{name}"')
            shard.update({f"{number}.json": text.encode(), **media})
        shard.update({"9.png": (self.data / "cat.png").read_bytes(), "9.txt": b"A cat."})
        write_tar(self.data / "pages.tar", shard)
        self.assertEqual(self.check(self.data / "pages.tar")["bad"], 0)
        self.trains(self.data / "pages.tar", f"{len(found) + 1} records, read by webdataset as captioned")
        alone = json.loads(self.call("data", "check", self.data / "pages.tar", "--json").stdout)
        self.assertEqual((alone["samples"], alone["bad"]), (len(found) + 1, 0))
        self.assertEqual(self.check(self.write("pairs.jsonl", found))["bad"], 0)

    def test_hostile(self):
        png = (self.data / "cat.png").read_bytes()
        cut = self.data / "cut.tar"
        write_tar(cut, {"0.png": png, "0.txt": b"A cat."})
        cut.write_bytes(cut.read_bytes()[:1200])
        write_tar(self.data / "pickle.tar", {"0.png": png, "0.pkl": b"cos\nsystem\n(S'touch pwned'\ntR."})
        with tarfile.open(self.data / "link.tar", "w") as out:
            info = tarfile.TarInfo("0.txt")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            out.addfile(info)
        for name, words in [("cut.tar", "cut short"), ("pickle.tar", "is a pickle"), ("link.tar", "is a link")]:
            self.assertIn(words, self.train(self.data / "never", code=3, config=self.config_for(self.data / name)).stderr)
        self.assertFalse((self.data / "pwned").exists())


class Lhotse(Formats):
    def cut(self, number, recording, start=0.0, duration=0.4):
        return {"id": f"cut.{number}", "start": start, "duration": duration, "channel": 0, "supervisions": [{"id": "s", "recording_id": "r", "start": 0.0, "duration": duration, "text": "low"}],
                "recording": {"id": "r", "sources": [recording], "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0, "channel_ids": [0]}, "type": "MonoCut"}

    def test_cuts(self):
        path = self.write("cuts.jsonl", blocks("Lhotse's cuts")[0])
        checked = self.check(path)
        self.assertEqual(checked["bad"], 0)
        self.assertAlmostEqual(checked["media"]["audio"]["seconds_total"], 0.5, places=3)
        self.trains(path, "1 records, read by json_lines as lhotse_cut")

    def test_shar(self):
        """Archives in the form of Lhotse's SharWriter give the losses of the files that they were made of."""
        (self.data / "shar").mkdir()
        cuts, files = [], []
        for number in range(6):
            make_tiny.write_wav(self.data / f"{number}.wav", 200 + 100 * number, random.Random(number), seconds=0.4)
            files.append(self.cut(number, {"type": "file", "channels": [0], "source": f"{number}.wav"}))
            cuts.append(self.cut(number, {"type": "shar", "channels": [0], "source": ""}))
        lines = self.write("files.jsonl", files)
        plain = losses(self.trains(lines, "6 records"))
        packed = self.data / "files.jsonl.gz"
        packed.write_bytes(gzip.compress(lines.read_bytes()))
        run = self.trains(packed, "6 records, read by json_lines as lhotse_cut")
        self.assertEqual(losses(run), plain)
        self.compare_resumed(run, *sets(model__llm__chat_template=self.data / "template.jinja", train__steps=3, train__tokens_per_batch=1024, train__checkpoint_every=1))
        self.assertIn("0 failed", self.call("conformance", ROOT / "build/plugins/json_lines.so", "--data", packed, threads=None).stdout)
        for shard in range(2):
            part = range(3 * shard, 3 * shard + 3)
            lines = self.write(f"cuts.{shard:06}.jsonl", [cuts[number] for number in part])
            (self.data / "shar" / f"{lines.name}.gz").write_bytes(gzip.compress(lines.read_bytes()))
            members = {}
            for number in part:
                members[f"cut.{number}.wav"] = (self.data / f"{number}.wav").read_bytes()
                members[f"cut.{number}.json"] = json.dumps(cuts[number]["recording"]).encode()
            write_tar(self.data / "shar" / f"recording.{shard:06}.tar", members)
        text = re.search(r'(?s)path = "shar/cuts.*?\n(.*?)```', PAGE)[1].replace("shar/", f"{self.data}/shar/")
        self.assertEqual(losses(self.trains(self.data / "shar" / "cuts.*.jsonl.gz", "6 records, read by json_lines as lhotse_cut", text)), plain)

    def test_mixture_of_the_page(self):
        path = self.write("mixed.jsonl", blocks("Lhotse's cuts")[1])
        checked = self.check(path)
        self.assertEqual(checked["bad"], 0)
        self.assertAlmostEqual(checked["media"]["audio"]["seconds_total"], 1.25, places=3)
        self.trains(path, "1 records, read by json_lines as lhotse_cut")

    @unittest.skipUnless(importlib.util.find_spec("lhotse"), "lhotse is not installed")
    def test_mixtures_as_lhotse_makes_them(self):
        """Cuts of several tracks and channels, as Lhotse writes them, sound as Lhotse makes them sound."""
        import lhotse
        import numpy
        import soundfile
        noise = numpy.random.default_rng(3)
        cuts = {}
        for name, channels, length in [("one", 1, 0.5), ("two", 2, 0.4001), ("far", 1, 0.3)]:
            soundfile.write(self.data / f"{name}.wav", noise.uniform(-0.5, 0.5, (int(length * 16000), channels)), 16000, subtype="FLOAT")
            cut = lhotse.Recording.from_file(self.data / f"{name}.wav").to_cut()
            cuts[name] = lhotse.fastcopy(cut, supervisions=[lhotse.SupervisionSegment("s", cut.recording_id, 0.0, cut.duration, text="low", channel=cut.channel)])
        one, two, far = cuts["one"], cuts["two"], cuts["far"]
        left = two.to_mono()[0]
        made = {"appended": one.append(far), "padded": one.pad(duration=0.7), "led": one.pad(duration=0.7, direction="left"), "over": one.mix(far, offset_other_by=0.1),
                "noisy": one.mix(far, snr=7), "late": one.mix(left, offset_other_by=0.3, snr=-3), "pieces": one.truncate(offset=0.1003, duration=0.2002).append(left.truncate(duration=0.11117)).pad(duration=0.4),
                "several": two, "both": two.mix(one, snr=4)}
        lhotse.CutSet.from_cuts(lhotse.fastcopy(cut, id=name) for name, cut in made.items()).to_file(self.data / "made.jsonl")
        self.convert(self.data / "made.jsonl", "heard.jsonl")
        for (name, cut), record in zip(made.items(), records(self.data / "heard.jsonl"), strict=True):
            path = next(part["audio"] for part in record["messages"][0]["content"] if part["type"] == "audio")
            heard, rate = soundfile.read(self.data / path, dtype="float32")
            expected = (cut.to_mono(mono_downmix=True) if name == "several" else cut).load_audio(**({"mono_downmix": True} if name == "both" else {}))[0]
            self.assertEqual((record["id"], rate, len(heard)), (name, 16000, len(expected)))
            # Lhotse keeps what it makes of a MultiCut with 16 bits.
            self.assertLess(numpy.abs(heard - expected).max(), 1e-4 if name == "several" else 1e-6, name)


class Convert(Formats):
    def test_tiny_set(self):
        """Lines to archives and back: the same run each time."""
        settings = sets(train__steps=4)
        self.train(self.data / "files", *settings)
        said = self.convert(self.folder / "data" / "train.jsonl", "tiny.tar", "--shard-samples", 7)
        self.assertIn("wrote 24 records to 4 files; each was read again and says the same", said)
        self.assertEqual(sorted(path.name for path in self.data.glob("tiny*")), [f"tiny-{n:06}.tar" for n in range(4)])
        with tarfile.open(self.data / "tiny-000003.tar") as found:
            names = found.getnames()
        self.assertEqual(names[:2], ["00000021.json", "00000021.0.png"])
        self.convert(self.data / "tiny-*.tar", "again.jsonl")
        self.assertEqual(len(list((self.data / "again_media").iterdir())), 32)
        for number, path in enumerate(["tiny-*.tar", "again.jsonl"]):
            self.train(self.data / f"run_{number}", *settings, config=self.config_for(self.data / path))
            self.assertEqual(losses(self.data / f"run_{number}"), losses(self.data / "files"))

    def test_every_layout(self):
        """All records of the page that are not pieces, answers to be compared too, become messages that are read the same."""
        found = [record for section in ["", "Layouts of other programs", "Archives"] for block in blocks(section)[:1] for record in block]
        path = self.write("talks.jsonl", found)
        for out in ["out.jsonl", "out.tar"]:
            self.assertIn(f"wrote {len(found)} records", self.convert(path, out))
        texts = [line["messages"] for line in records(self.data / "out.jsonl")]
        self.assertTrue(any(message.get("loss") is False for talk in texts for message in talk))
        self.assertTrue(any(message.get("tool_calls") for talk in texts for message in talk))
        pairs = self.write("pairs.jsonl", blocks("Several answers to one prompt")[0])
        self.convert(pairs, "pairs.tar")
        self.convert(self.data / "pairs.tar", "pairs_again.jsonl")
        self.assertEqual([len(record["candidates"]) for record in records(self.data / "pairs_again.jsonl")], [2, 2])

    def test_other_layouts(self):
        """Written for another program and read again as messages, they are those that are written at once."""
        ask = lambda kind, name, text: {"role": "user", "content": [{"type": kind, kind: name}, {"type": "text", "text": text}]}
        say = lambda text, role="assistant": {"role": role, "content": text}
        talk = {"id": "a", "task": "look", "messages": [say("Be brief.", "system"), ask("image", "cat.png", "What is this?"), say("A cat."), say("Sure?", "user"), say("Yes.")]}
        sound = {"id": "b", "messages": [ask("audio", "talk.wav", "What is said?"), say("low")]}
        two = {"id": "c", "messages": [{"role": "user", "content": [{"type": "image", "image": name} for name in ("cat.png", "dog.png")]}, {**say("Both."), "loss": False}, say("More?", "user"), say("No.")]}
        tools = {"id": "f", "messages": [say("Hello", "user"), say("Hi.")], "tools": [{"name": "weather"}]}
        calls = [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Bonn", "days": 2}}}, {"type": "function", "function": {"name": "time", "arguments": {}}}]
        called = {"id": "g", "messages": [say("Hello", "user"), {**say("I look."), "tool_calls": calls}, say("dry", "tool"), say("noon", "tool"), say("Dry, at noon."), say("Sure?", "user"), {"role": "assistant", "content": None, "tool_calls": calls[:1], "loss": False}, say("dry", "tool"), say("Yes.")]}
        heard = {"id": "h", "messages": [say("Listen.", "system"), {"role": "user", "content": [{"type": "text", "text": "First: "}, {"type": "audio", "audio": "a.wav"}, {"type": "audio", "audio": "talk.wav"}, {"type": "text", "text": "which?"}]}, say("The second."), ask("audio", "b.wav", "And this?"), say("low")]}
        page = {"id": "e", "messages": [{"role": "document", "content": [{"type": "text", "text": "A cat: "}, {"type": "image", "image": "cat.png"}, {"type": "image", "image": "dog.png"}, {"type": "text", "text": "both."}]}]}
        for layout, out, found in (("conversations", "list.json", [talk, sound, two, tools, called]), ("alpaca", "asked.jsonl", [talk, sound, tools]), ("captioned", "shown.jsonl", [talk, sound]), ("interleaved", "pages.jsonl", [page]),
                                   ("nemo_manifest", "nemo.tar", [sound]), ("nemo_manifest", "talks.jsonl", [sound, heard, {**sound, "messages": [say("Be brief.", "system"), *sound["messages"]]}])):
            with self.subTest(layout):
                path = self.write(f"{layout}.jsonl", found)
                self.assertIn(f"wrote {len(found)} records", self.convert(path, out, "--layout", layout))
                stem = out.split(".")[0]
                self.convert(self.data / out, f"{stem}_again.jsonl"), self.convert(path, f"{stem}_plain.jsonl")
                again, plain = (records(self.data / f"{stem}_{name}.jsonl") for name in ("again", "plain"))
                if out.endswith(".tar"):  # media lie beside what came out of an archive
                    again = [json.loads(re.sub(r'"audio":"[^"]*"', f'"audio":"{self.data}/talk.wav"', json.dumps(record, separators=(",", ":")))) for record in again]
                self.assertEqual(again, plain)
        listed = json.loads((self.data / "list.json").read_text())
        self.assertEqual(listed[0]["conversations"][1], {"from": "human", "value": "<image>\nWhat is this?"})
        self.assertTrue(listed[0]["image"].endswith("/cat.png"))
        first, = (record for record in records(self.data / "shown.jsonl") if record["id"] == "b")
        self.assertEqual((first["context"], first["answers"]), ("<audio>What is said?", ["low"]))
        self.assertEqual(records(self.data / "pages.jsonl")[0]["texts"], ["A cat: ", None, None, "both."])
        pieces = self.write("pieces.jsonl", [{"id": "d", "audio_filepath": "talk.wav", "offset": 0.25, "duration": 0.5, "text": "low", "context": "Said?"}])
        self.convert(pieces, "pieces_again.jsonl", "--layout", "nemo_manifest")
        piece, = records(self.data / "pieces_again.jsonl")
        self.assertEqual((piece["offset"], piece["duration"], piece["context"]), (0.25, 0.5, "Said?"))
        self.convert(pieces, "pieces_said.jsonl"), self.convert(self.data / "pieces_said.jsonl", "pieces_twice.jsonl", "--layout", "nemo_manifest")
        self.assertEqual(records(self.data / "pieces_said.jsonl")[0]["messages"][0]["content"][0], {"type": "audio", "audio": str(self.data / "talk.wav"), "offset": 0.25, "duration": 0.5})
        self.assertEqual(records(self.data / "pieces_twice.jsonl"), [piece])
        for layout, record, words in (("conversations", json.loads(pieces.read_text()), "is a piece of a recording, which conversations cannot name"),
                                      ("conversations", {"messages": [{**say("a", "user"), "name": "Ann"}, say("b")]}, "cannot hold a name"),
                                      ("alpaca", two, "not supervised"), ("alpaca", {"messages": [say("a", "user"), say("b"), say("c")]}, "questions and answers in turn"), ("nemo_manifest", talk, "media other than recordings"), ("nemo_manifest", tools, "without a recording"),
                                      ("conversations", {"messages": [say("a", "user"), {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": {}}}]}, say("x", "tool"), say("b")]}, "with ids"),
                                      ("captioned", tools, "a sample without media"), ("captioned", two, "not supervised"), ("captioned", {**sound, "tools": [{"name": "f"}]}, "descriptions of tools"), ("interleaved", talk, "anything but one document"), ("alpaca", page, "cannot hold a document")):
            with self.subTest(words):
                self.assertIn(words, self.convert(self.write("odd.jsonl", [record]), "odd_out.jsonl", "--layout", layout, code=3))
                self.assertFalse((self.data / "odd_out.jsonl").exists())

    def test_as_pairs(self):
        """Two answers to one prompt as TRL has them, with marks in texts that stand for nothing."""
        written = [*blocks("Several answers to one prompt")[0][:1], {"prompt": "Is <image> a mark?", "chosen": "No.", "rejected": "Yes.", "task": "ask"}]
        self.assertIn("wrote 2 records", self.convert(self.write("pairs.jsonl", written), "again.jsonl", "--layout", "preference"))
        first, second = records(self.data / "again.jsonl")
        self.assertEqual(first["prompt"], [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}])
        self.assertEqual((first["images"], first["chosen"]), ([str(self.data / "cat.png")], [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}]))
        self.assertEqual((second["prompt"], second["rejected"], second["task"]), ([{"role": "user", "content": "Is <image> a mark?"}], [{"role": "assistant", "content": "Yes."}], "ask"))
        for record, words in ((blocks("Several answers to one prompt")[0][1], "scores or media of their own"), ({"query": "a", "response": "b"}, "anything but two answers")):
            self.assertIn(words, self.convert(self.write("odd.jsonl", [record]), "odd_out.jsonl", "--layout", "preference", code=3))

    def stereo(self):
        import array
        import wave
        noise = random.Random(8)
        with wave.open(str(self.data / "both.wav"), "wb") as out:
            out.setnchannels(2), out.setsampwidth(2), out.setframerate(8000)
            out.writeframes(array.array("h", [noise.randrange(-9000, 9000) for _ in range(2 * 6001)]).tobytes())
        return {"id": "two", "start": 0.25, "duration": 0.5, "channel": 1, "supervisions": [{"text": "right"}], "custom": {"lang": "de"},
                "recording": {"sources": [{"type": "file", "channels": [0, 1], "source": "both.wav"}], "channel_ids": [0, 1]}}

    def test_as_cuts(self):
        """Pieces and channels of recordings as cuts that Lhotse reads, with the same samples."""
        found = [{"id": "whole", "audio_filepath": "talk.wav", "text": "low", "lang": "en"}, {"id": "piece", "audio_filepath": "talk.wav", "offset": 0.25, "duration": 0.5, "text": "high", "context": "Said?"}, self.stereo()]
        path = self.write("heard.jsonl", found)
        self.assertIn("wrote 3 records", self.convert(path, "cuts.jsonl", "--layout", "lhotse_cut"))
        whole, piece, right = records(self.data / "cuts.jsonl")
        self.assertEqual((whole["start"], whole["duration"], whole["custom"]), (0.0, 1.0, {"context": "Transcribe the audio.", "lang": "en"}))
        self.assertEqual((piece["start"], piece["duration"], piece["supervisions"][0]["text"]), (0.25, 0.5, "high"))
        self.assertEqual((right["channel"], right["recording"]["sampling_rate"], right["recording"]["num_samples"], right["recording"]["channel_ids"]), (1, 8000, 6001, [0, 1]))
        self.convert(self.data / "cuts.jsonl", "cuts_again.jsonl", "--layout", "lhotse_cut")
        self.assertEqual(records(self.data / "cuts_again.jsonl"), [whole, piece, right])
        for record, words in (({"audio_filepath": "both.wav", "text": "x"}, "the mean of the channels"), ({"audio_filepath": ["a.wav", "b.wav"], "text": "x"}, "several recordings"), ({"query": "a", "response": "b"}, "anything but a recording")):
            self.assertIn(words, self.convert(self.write("odd.jsonl", [record]), "odd_out.jsonl", "--layout", "lhotse_cut", code=3))
        self.assertIn("is written as lines", self.convert(path, "cuts.tar", "--layout", "lhotse_cut", code=2))
        if importlib.util.find_spec("lhotse"):
            import lhotse
            import numpy
            import soundfile
            for cut in lhotse.CutSet.from_jsonl(self.data / "cuts.jsonl"):
                name, begin, end, channel = {"whole": ("talk.wav", 0, 16000, 0), "piece": ("talk.wav", 4000, 12000, 0), "two": ("both.wav", 2000, 6000, 1)}[cut.id]
                samples, rate = soundfile.read(self.data / name, always_2d=True, dtype="float32")
                self.assertTrue(numpy.array_equal(cut.load_audio()[0], samples[begin:end, channel]))
                self.assertEqual((cut.sampling_rate, cut.supervisions[0].text, lhotse.validate(cut)), (rate, {"whole": "low", "piece": "high", "two": "right"}[cut.id], None))

    def spoken(self, count):
        """Questions about recordings of their own, pieces among them; the first has a long name."""
        found = []
        for number in range(count):
            make_tiny.write_wav(self.data / f"spoken_{number}.wav", 200 + 50 * number, random.Random(number), seconds=0.5)
            piece = {"offset": 0.125, "duration": 0.25} if number % 2 else {}
            found.append({"id": "long/" * 30 + "name" if number == 0 else f"spoken-{number}", "audio_filepath": f"spoken_{number}.wav", "text": "high" if number % 2 else "low", "context": "Said?", **piece})
        return found, self.write("spoken.jsonl", found)

    def test_as_shar(self):
        """Archives that Lhotse reads, with the recordings' bytes; a set of them trains as the files do."""
        found, path = self.spoken(5)
        self.assertIn("wrote 5 records to 6 files", self.convert(path, "shar_out/", "--layout", "lhotse_cut", "--shard-samples", 2))
        self.assertEqual(sorted(file.name for file in (self.data / "shar_out").iterdir()), [f"{kind}.{number:06}.{end}" for kind, end in (("cuts", "jsonl"), ("recording", "tar")) for number in range(3)])
        more = f'source = "json_lines"\nsource_options = {{ archives = "{self.data}/shar_out/recording.*.tar" }}'
        self.assertEqual(losses(self.trains(self.data / "shar_out" / "cuts.*.jsonl", "5 records, read by json_lines as lhotse_cut", more)), losses(self.trains(path, "5 records")))
        if importlib.util.find_spec("lhotse"):
            import lhotse
            import numpy
            import soundfile
            cuts = list(lhotse.CutSet.from_shar(in_dir=self.data / "shar_out"))
            self.assertEqual([(cut.id, cut.supervisions[0].text, cut.custom["context"]) for cut in cuts], [(one["id"], one["text"], "Said?") for one in found])
            for cut, one in zip(cuts, found):
                samples, rate = soundfile.read(self.data / one["audio_filepath"], dtype="float32")
                begin = int(one.get("offset", 0) * rate)
                self.assertTrue(numpy.array_equal(cut.load_audio()[0], samples[begin:][: int(one.get("duration", 1) * rate)]))

    def test_what_is_no_shar(self):
        found, _ = self.spoken(2)
        for number, (name, words) in enumerate({"a//b": "is not a path within an archive", "../a": "is not a path", "/a": "is not a path", "spoken-1": "two samples have the id 'spoken-1'"}.items()):
            path = self.write("odd_ids.jsonl", [{**found[0], "id": name}, found[1]])
            self.assertIn(words, self.convert(path, f"odd_{number}/", "--layout", "lhotse_cut", code=3))
        good = self.write("good_ids.jsonl", found)
        self.assertIn("a pattern of several names", self.convert(good, "out{1}/", "--layout", "lhotse_cut", code=2))
        self.assertIn("cannot create the folder", self.convert(good, "not/there/", "--layout", "lhotse_cut", code=2))
        self.assertEqual([*self.data.glob("odd_[0-9]*"), *self.data.glob("out*"), *self.data.glob("not*")], [])

    def test_as_tarred_manifests(self):
        """As NeMo's script leaves them: a manifest for each archive, whose number each line has."""
        found, path = self.spoken(5)
        self.assertIn("wrote 5 records to 4 files", self.convert(path, "tarred_out/", "--layout", "nemo_manifest", "--shard-samples", 3))
        out = self.data / "tarred_out"
        lines = [record for number in range(2) for record in records(out / "sharded_manifests" / f"manifest_{number}.json")]
        self.assertEqual([record["shard_id"] for record in lines], [0, 0, 0, 1, 1])
        for record, one in zip(lines, found, strict=True):
            with tarfile.open(out / f"audio_{record['shard_id']}.tar") as archive:
                self.assertEqual(archive.extractfile(record["audio_filepath"]).read(), (self.data / one["audio_filepath"]).read_bytes())
        more = f'source = "json_lines"\nsource_options = {{ archives = "{out}/audio__OP_0..1_CL_.tar" }}'
        self.assertEqual(losses(self.trains(out / "sharded_manifests" / "manifest__OP_0..1_CL_.json", "5 records, read by json_lines as nemo_manifest", more)), losses(self.trains(path, "5 records")))
        self.assertIn("is there already", self.convert(path, "tarred_out/", "--layout", "nemo_manifest", code=2))
        self.assertIn("the layout messages has no folders", self.convert(path, "other_out/", code=2))
        broken = self.write("broken.jsonl", [found[0], {"id": "gone", "audio_filepath": "gone.wav", "text": "x"}])
        self.assertIn("gone.wav", self.convert(broken, "broken_out/", "--layout", "nemo_manifest", code=3))
        self.assertEqual([*self.data.glob("broken_out*"), *self.data.glob("other_out*")], [])

    def test_configuration(self):
        """The options of a format hold."""
        path = self.write("manifest.jsonl", [{"audio_filepath": "talk.wav", "text": "low", "lang": "en"}])
        config = self.config_for(path, 'format = "nemo_manifest"\nformat_options = { context = "What?" }')
        self.convert(config, "manifest_out.jsonl")
        record = records(self.data / "manifest_out.jsonl")[0]
        self.assertEqual((record["lang"], record["messages"][0]["content"]), ("en", [{"type": "audio", "audio": str(self.data / "talk.wav")}, {"type": "text", "text": "What?"}]))

    def test_refused(self):
        good = {"query": "<image>", "response": "A cat.", "images": ["cat.png"]}
        before = sorted(path.name for path in self.data.iterdir())
        for name, bad, words in [("channel", {"id": "c", "start": 0, "duration": 0.5, "channel": 1, "type": "MonoCut", "recording": {"id": "r", "sources": [{"type": "file", "channels": [0, 1], "source": "talk.wav"}]}, "supervisions": [{"start": 0, "text": "x"}]}, "is meant, which messages cannot say"), ("bad", {"messages": []}, "the conversation is empty"),
                                 ("missing", {**good, "images": ["none.png"]}, "none.png")]:
            path = self.write(f"{name}.jsonl", [good, bad])
            said = self.convert(path, "out.tar", code=3)
            self.assertIn(words, said)
            self.assertIn(f"while {path}:2", said)
            path.unlink()
        self.assertEqual(sorted(path.name for path in self.data.iterdir()), before)
        other = self.config_for(self.write("other.jsonl", [{"audio_filepath": "talk.wav", "text": "x", "query": "a", "response": "b"}]), 'format = "nemo_manifest"')
        self.assertIn("both texts 'instruction' and 'output', 'query' and 'response', 'prompt' and 'completion', or 'input' and 'output'", self.convert(other, "other_out.jsonl", code=3))
        self.assertEqual(list(self.data.glob("other_out*")), [])
        path = self.write("ok.jsonl", [good])
        self.convert(path, "ok.tar")
        self.assertIn("is there already", self.convert(path, "ok.tar", code=2))
        self.assertIn("says no form", self.convert(path, "ok.zip", code=2))
        self.assertIn("is for archives", self.convert(path, "ok2.jsonl", "--shard-samples", 3, code=2))


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
