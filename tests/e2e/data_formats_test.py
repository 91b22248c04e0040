"""The records of docs/data.md, as they stand there: each is read without an error, by the format that the page says, and trained on."""

import json
import random
import re
import shutil

import make_tiny
from formats import PAGE, TEMPLATE, Formats, blocks, write_tar
from harness import losses, main, records, sets


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


class Attributes(Formats):
    def test_the_page(self):
        """Its records under its table: what is told stands before the answers and is not learnt; answers are asked for by names that there are."""
        path = self.write("rated.jsonl", blocks("Attributes of answers")[0])
        config = self.config_for(path, also=re.search(r"(?s)## Attributes of answers.*?```toml\n(.*?)```", PAGE)[1] + "\n")
        shown = self.call("data", "show", config, "--count", 2).stdout
        for said in ("assistant↵\nquality:4,toxicity:0↵\n«Bonjour.<|im_end|>»↵", "assistant↵\nquality:1,toxicity:2↵\n«What?<|im_end|>»↵"):
            self.assertIn(said, shown)
        run, short = self.data / "run", sets(train__tokens_per_batch=1024, train__checkpoint_every=2)
        self.train(run, *short, *sets(train__steps=2), config=config)
        self.assertIn("--accept-changes", self.train(run, *short, *sets(train__steps=4, data__attributes__place="user"), "--resume", config=config, code=4).stderr)
        asked = lambda name, code: self.call("generate", run, "Hello", "--set", f"generate.attributes={{{name}=4}}", *sets(generate__max_tokens=2), code=code).stderr
        self.assertIn("'qualty'; data.attributes.names has quality, toxicity", asked("qualty", 2))
        asked("quality", 0)
        done = self.call("data", "check", self.config_for(path), code=3)
        self.assertIn("nothing tells the label 'quality:1,toxicity:2'", done.stdout + done.stderr)


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


if __name__ == "__main__":
    main()
