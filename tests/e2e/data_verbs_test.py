"""antiphon data show and antiphon data check: what they print, what they count, how they end."""

import base64
import json
import random
import re
import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

import bad_samples_test
import make_tiny
from harness import PROGRAM, ROOT, Case, main, records, sets

GOLDEN = """\
{path}:1 (image-0)
<|im_start|>user↵
[image 4: train_0.png 32x32]What·colour·is·the·picture?<|im_end|>↵
<|im_start|>assistant↵
«green<|im_end|>»↵

24 tokens, 5 supervised (20.8 %), 1 media item
  stream image: 1 item, 4 tokens
predicted: each position predicts the token after it
      17  ↵ -> g
      18  g -> re
      19  re -> e
      20  e -> n
      21  n -> <|im_end|>
"""


class Data(Case):
    def command(self, verb, *args, threads=1):
        limit = ["--threads", str(threads)] if "check" in args else []
        return [PROGRAM, verb, *map(str, args), *limit]

    def use(self, name, train, held="held.jsonl"):
        """A configuration with these manifests."""
        config = self.folder / name
        config.write_text(self.config.read_text().replace("train.jsonl", train).replace("held.jsonl", held))
        return config

    def write(self, name, lines):
        path = self.folder / "data" / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def show(self, *args, **options):
        return self.call("data", "show", *args, **options).stdout

    def check(self, *args, code=0, threads=2):
        done = self.call("data", "check", *args, "--json", code=code, threads=threads)
        return json.loads(done.stdout)


class Show(Data):
    def test_golden(self):
        path = self.folder / "data" / "train.jsonl"
        expected = GOLDEN.format(path=path)
        self.assertEqual(self.show(self.config), expected)
        for choice in [["--line", 1], ["--id", "image-0"], ["--source", path], ["--color", "never"], ["--color", "always", "--no-color"]]:
            self.assertEqual(self.show(self.config, *choice), expected, choice)

    def test_color(self):
        text = self.show(self.config, "--color", "always")
        self.assertIn("\033[30;42m", text)
        self.assertIn("\033[36m[image 4: train_0.png 32x32]\033[0m", text)
        self.assertNotIn("«", text)
        for line in text.splitlines():
            self.assertEqual(line.count("\033[") - line.count("\033[0m"), line.count("\033[0m"), "every colour ends on its line")
        bare = text.replace("\033[0m", "")
        self.assertNotIn("\033", self.show(self.config))
        self.assertIn("<|im_end|>↵", "".join(part.partition("m")[2] if i else part for i, part in enumerate(bare.split("\033["))))

    def test_which_samples(self):
        shown = self.show(self.config, "--line", 3, "--count", 2)
        self.assertIn("(both-2)", shown)
        self.assertIn("(image-3)", shown)
        self.assertIn("0.20 s", shown)
        self.assertEqual(self.show(self.config, "--line", 24, "--count", 5).count("predicted:"), 1, "there are no more")
        self.assertIn("(image-0)", self.show(self.config, "--source", self.folder / "data" / "held.jsonl"))
        self.assertIn("did you mean 'image-0'?", self.call("data", "show", self.config, "--id", "imag-0", code=3).stderr)
        self.assertIn("at lines 1 to 24", self.call("data", "show", self.config, "--line", 99, code=3).stderr)
        self.assertIn("--id", self.call("data", "show", self.config, "--id", "x", "--line", 1, code=2).stderr)

    def test_every_token(self):
        text = self.show(self.config, "--tokens")
        rows = text.split("after it\n")[1].splitlines()
        self.assertEqual(len(rows), 24)
        self.assertEqual(sum(" -> " in row for row in rows), 5)
        self.assertEqual([row.split(maxsplit=1)[1] for row in rows[3:7]], [f"[image {n}/4]" for n in range(1, 5)])

    def test_what_could_mislead_a_terminal(self):
        text = "a\tb \x1b[31mred\u202e <|im_end|> é世 \U0001f600 end"
        path = self.write("odd.jsonl", [{"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "é\n世\U0001f600"}]}])
        shown = self.show(self.config, "--source", path)
        self.assertIn("a⇥b·\\x1b[31mred\\u{202e}·<|im_end|>·é世·\U0001f600·end<|im_end|>↵\n", shown)
        self.assertIn("«é↵\n世\U0001f600<|im_end|>»↵\n", shown, "characters of several tokens are whole")
        self.assertNotIn("\033", shown)
        self.assertIn("\\xc3", self.show(self.config, "--source", path, "--tokens"), "half a character is shown by its bytes")

    def template(self, text):
        path = self.folder / "template.jinja"
        path.write_text(text)
        return sets(model__llm__chat_template=path)

    def test_a_template_that_opens_a_thought(self):
        talk = [{"role": role, "content": text} for role, text in [("user", "Hello"), ("assistant", "Hi."), ("user", "And you?"), ("assistant", "Fine.")]]
        path = self.write("thought.jsonl", [{"messages": talk}])
        chosen = self.template("{% for m in messages %}{% if m.role == 'user' %}{{ '<|im_start|>' + m.content }}{% else %}{{ '<|im_start|>A' + m.content.split('</think>')[-1] + '<|im_end|>' }}{% endif %}"
                               "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>A<think>\\n' }}{% endif %}")
        shown = self.show(self.config, "--source", path, *chosen)
        self.assertIn("<|im_start|>Hello<|im_start|>A«Hi.<|im_end|>»<|im_start|>And·you?<|im_start|>A«Fine.<|im_end|>»", shown)

    def test_hostile_templates(self):
        path = self.write("plain.jsonl", [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}])
        for text, words in [("{{ 1/0 }}", "division by zero"), ("{{ 'a' * 10000000000 }}", "makes too much"), ("{# #}", "writes nothing for this conversation"),
                            ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "nests too deep"), ("{{ raise_exception('\\x1b[31mred') }}", "\\x1b[31mred")]:
            said = self.call("data", "show", self.config, "--source", path, *self.template(text), code=3).stderr
            self.assertIn(words, said)
            self.assertIn("template.jinja", said)
            self.assertNotIn("\x1b", said)

    def test_many_turns(self):
        turns = lambda count: [{"role": "user" if i % 2 == 0 else "assistant", "content": "x"} for i in range(count)]
        path = self.write("turns.jsonl", [{"messages": turns(2000)}, {"messages": turns(100_000)}])
        begin = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        self.assertIn("too long", self.show(self.config, "--source", path))
        self.assertIn("at most 10000", self.call("data", "show", self.config, "--source", path, "--line", 2, code=3).stderr)
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begin, 8, "two runs of the program, in processor time")

    def test_bad_and_long(self):
        path = self.write("bad.jsonl", [{"messages": []}, records(self.folder / "data" / "train.jsonl")[0]])
        done = self.call("data", "show", self.config, "--source", path, "--count", 2, code=3)
        self.assertIn("(image-0)", done.stdout)
        self.assertIn(f"{path}:1: ", done.stderr)
        self.assertIn("too long: at most 16 tokens", self.show(self.config, *sets(train__tokens_per_batch=16)))

    def test_a_closed_pipe(self):
        process = subprocess.Popen([PROGRAM, "data", "show", self.config, "--count", "20"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        self.assertNotIn(b"internal", process.stderr.read())
        process.stderr.close()
        process.wait(60)

    def test_loads_no_weight(self):
        weights = self.folder / "models" / "dinov2" / "model.safetensors"
        kept = weights.read_bytes()
        try:
            weights.write_bytes(b"nothing")
            self.assertIn("24 tokens", self.show(self.config))
            self.check(self.config)
        finally:
            weights.write_bytes(kept)


    def test_media_within_the_record(self):
        data = self.folder / "data"
        url = "data:image/png;base64," + base64.b64encode((data / "train_0.png").read_bytes()).decode()
        row = records(data / "train.jsonl")[0]
        row["messages"][0]["content"][0] = {"type": "image_url", "image_url": {"url": url}}
        shown = self.show(self.config, "--source", self.write("within.jsonl", [row]))
        self.assertIn("[image 4: data:image/png (", shown)
        plain = self.show(self.config)
        self.assertEqual(shown.split("predicted:")[1], plain.split("predicted:")[1], "the same tokens as of the file")

    def test_a_list(self):
        rows = records(self.folder / "data" / "train.jsonl")
        path = self.folder / "data" / "list.json"
        path.write_text(json.dumps(rows, indent=1))
        self.assertIn("(both-2)", self.show(self.config, "--source", path, "--line", 3))
        self.assertIn("list.json: 24 records, read by json_list as messages", self.call("data", "check", path).stderr)
        turns = lambda question, answer: {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}
        path.write_text(json.dumps([{"id": "h", "image": "train_0.png", **turns("<image>\nWhat?", "A bird.")}, {"id": "i", **turns("Hi", "Hello.")}], indent=2))
        done = self.call("data", "check", path, "--json")  # as LLaVA's own files are
        self.assertIn("list.json: 2 records, read by json_list as conversations", done.stderr)
        found = json.loads(done.stdout)
        self.assertEqual((found["samples"], found["bad"], found["sources"][0]["media"]["image"]["items"]), (2, 0, 1))


class Check(Data):
    def test_good(self):
        found = self.check(self.config)
        self.assertEqual((found["samples"], found["bad"], found["reasons"], found["leaks"]), (36, 0, [], []))
        train, held = found["sources"]
        self.assertEqual((train["set"], train["samples"], held["set"], held["samples"]), ("train", 24, "held", 12))
        self.assertEqual(train["media"]["image"]["items"], 16)
        self.assertEqual(train["media"]["image"]["width"], {"min": 32, "median": 32, "p95": 32, "max": 32})
        self.assertAlmostEqual(train["media"]["audio"]["seconds_total"], 16 * 0.2, places=3)
        self.assertGreater(train["tokens"]["max"], train["tokens"]["min"])
        shown = [self.show(self.config, "--line", n) for n in range(1, 25)]
        tokens = [int(text.split(" tokens, ")[0].rsplit("\n", 1)[1]) for text in shown]
        self.assertEqual((min(tokens), max(tokens)), (train["tokens"]["min"], train["tokens"]["max"]))
        self.assertEqual(found, self.check(self.config, threads=1), "however many threads")
        done = self.call("data", "check", self.config)
        self.assertRegex(done.stdout, r"train\.jsonl \(train\) +24 +0 +0 ")
        self.assertIn("36/36 samples, 0 bad", done.stderr)
        self.assertEqual(self.check(self.config, "--limit", 5)["samples"], 10)

    def test_every_kind_of_bad_sample(self):
        data = self.folder / "data"
        bad = bad_samples_test.BadSamples.bad_lines(None, data)
        lines = [*(data / "train.jsonl").read_bytes().splitlines(), *(line for line, _ in bad)]
        (data / "mixed.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        found = self.check(self.use("mixed.toml", "mixed.jsonl"), code=3)
        self.assertEqual((found["samples"], found["bad"], found["sources"][0]["bad"]), (24 + len(bad) + 12, len(bad), len(bad)))
        self.assertEqual(sum(reason["count"] for reason in found["reasons"]), len(bad))
        words = " ".join(reason["example"] + " ".join(reason["places"]) for reason in found["reasons"])
        for _, expected in bad:
            if not expected.endswith((".png", ".wav", ".mp4")):
                self.assertIn(expected, words)
        self.assertNotIn("the secret", words)
        self.assertIn(f"{data / 'mixed.jsonl'}:25", words)
        counts = [reason["count"] for reason in found["reasons"]]
        self.assertEqual(counts, sorted(counts, reverse=True))
        self.assertIn("FILE", found["reasons"][0]["reason"] + found["reasons"][1]["reason"], "paths do not split a kind")
        done = self.call("data", "check", self.use("mixed.toml", "mixed.jsonl"), code=3)
        self.assertIn(f"{len(bad)} of {36 + len(bad)} samples are bad", done.stderr)
        self.assertIn("bad samples, by reason:", done.stdout)

    def test_a_file_alone(self):
        data = self.folder / "data"
        found = self.check(data / "train.jsonl")
        self.assertEqual((found["bad"], found["sources"][0]["tokens"], found["sources"][0]["media"]["audio"]["items"]), (0, None, 16))
        long = [{"messages": [{"role": "user", "content": "long " * 3000}]}]
        lines = [bad_samples_test.conversation(bad_samples_test.image("nowhere.png")), {"messages": []}]
        self.assertEqual(self.check(self.write("alone.jsonl", long + lines), code=3)["bad"], 2)
        self.assertIn("alone.jsonl", self.call("data", "check", data / "alone.jsonl", code=3).stdout)
        self.assertEqual(self.check(self.folder / "gone.jsonl", code=3)["bad"], 1)

    def test_videos(self):
        clip = Path(__file__).resolve().parents[1] / "media" / "clip.mp4"
        path = self.write("videos.jsonl", [{"messages": [{"role": "user", "content": [{"type": "video", "video": str(clip)}]}, {"role": "assistant", "content": "red"}]}])
        video = self.check(path)["sources"][0]["media"]["video"]
        self.assertGreater(video["seconds"]["min"], 0)
        frames = self.check(self.use("videos.toml", "videos.jsonl"), *sets(data__video__frames=3))["sources"][0]["media"]
        self.assertEqual(frames["image"]["items"], 3)
        self.assertEqual(frames["image"]["width"], video["width"])
        self.assertIn("[image 4: clip.mp4 (frame at ", self.show(self.use("videos.toml", "videos.jsonl")).replace("·", " "))

    def test_too_long(self):
        found = self.check(self.config, *sets(train__tokens_per_batch=25), code=3)
        self.assertEqual(len(found["reasons"]), 1)
        self.assertIn("N tokens", found["reasons"][0]["reason"])
        self.assertIn("raise train.tokens_per_batch", found["reasons"][0]["example"])
        self.assertEqual(found["sources"][1]["bad"], 0, "held-out samples go through no batch of training")
        self.assertGreater(found["sources"][0]["tokens"]["max"], 25, "the counts hold them too")

    def test_missing_source(self):
        found = self.check(self.use("gone.toml", "gone.jsonl"), code=3)
        self.assertEqual((found["bad"], found["samples"]), (1, 12))
        self.assertIn("gone.jsonl", found["reasons"][0]["reason"])

    def test_same_media_and_same_ids(self):
        data = self.folder / "data"
        train, held = records(data / "train.jsonl"), records(data / "held.jsonl")
        (data / "copy.png").write_bytes((data / "train_0.png").read_bytes())  # by content, whatever the name
        held[0]["messages"][0]["content"][0]["image"] = "copy.png"
        held[3]["messages"][0]["content"][0]["image"] = "train_0.png"
        self.write("leak.jsonl", held)
        self.write("twice.jsonl", [*train, train[4], train[4]])
        config = self.use("leak.toml", "twice.jsonl", "leak.jsonl")
        found = self.check(config)
        self.assertEqual(found["leaks"], [{"set": "held", "media": 1, "samples": 2, "train_place": f"{data}/twice.jsonl:1", "place": f"{data}/leak.jsonl:1"}])
        self.assertEqual([source["same_ids"] for source in found["sources"]], [2, 0])
        self.assertIn("warning: 1 media of the training data stand in the set held too, in 2 of its samples", self.call("data", "check", config).stdout)

    def test_config_errors(self):
        self.assertIn("unknown key", self.call("data", "check", self.config, "--set", "train.stpes=1", code=2).stderr)
        self.assertIn("there is no file", self.call("data", "check", "none.toml", code=2).stderr)
        config = self.folder / "nodata.toml"
        text = self.config.read_text()
        config.write_text(text[: text.index("[[data.train.sources]]")])
        self.assertIn("names no data", self.call("data", "check", config, code=2).stderr)


class Help(Data):
    def test_flags(self):
        for verb, flags in {"show": ["--source", "--line", "--id", "--count", "--color", "--no-color", "--tokens", "--set"], "check": ["--limit", "--threads", "--json", "--set"]}.items():
            text = subprocess.run([PROGRAM, "data", verb, "--help"], capture_output=True, text=True, check=True).stdout
            for flag in flags:
                self.assertIn(flag, text)

    def test_every_table_of_the_page_is_one(self):
        """Each block of TOML on docs/data.md is accepted in place of the tiny configuration's own data, and not if its first key is misspelt."""
        page = (ROOT / "docs" / "data.md").read_text()
        found = re.findall(r"^```toml\n(.*?)^```", page, flags=re.M | re.S)
        self.assertGreaterEqual(len(found), 10)
        whole = re.sub(r"(?ms)^\[+data[^\n]*\n.*?(?=^\[(?!\[?data)|\Z)", "", self.config.read_text())
        self.assertNotIn("[data", whole)
        own = f'[[data.train.sources]]\npath = "{self.folder}/data/train.jsonl"\n'
        for number, block in enumerate(found):
            with self.subTest(block):
                path = self.folder / f"block_{number}.toml"
                path.write_text(whole + block + (own if "[[data.train.sources]]" not in block else ""))
                self.call("validate", path)
                key = re.search(r"(?m)^(\w+) = ", block)[1]
                path.write_text(path.read_text().replace(f"\n{key} = ", f"\n{key}x = "))
                self.assertIn(f"'{key}x'", self.call("validate", path, code=2).stderr)


if __name__ == "__main__":
    main()
