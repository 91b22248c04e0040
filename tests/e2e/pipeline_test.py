"""train, eval, generate and export, one after the other, as a user runs them; what they write agrees."""

import json
import random
import re
import socket
import subprocess

import numpy
from safetensors.numpy import load_file

import make_tiny
from harness import LIMIT, ON_CPU, ROOT, Case, checkpoints, main, records, sets


class Pipeline(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.folder / "run"
        cls().train(cls.run_folder, *sets(train__steps=60, train__optimizer__lr=1e-2))

    def runTest(self):
        pass

    def config_with(self, name, replacements):
        text = self.config.read_text()
        for old, new in replacements:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.folder / name
        path.write_text(text)
        return path

    def evaluate(self, *args):
        output = self.folder / f"eval_{len(list(self.folder.glob('eval_*')))}"
        done = self.call("eval", *args, "--output", output)
        return json.loads((output / "results.json").read_text())[0], records(output / "predictions.jsonl"), done.stdout

    def test_eval(self):
        results, predictions, table = self.evaluate(self.run_folder)
        held = records(self.folder / "data" / "held.jsonl")
        self.assertEqual(results["samples"], len(held))
        self.assertEqual(list(results["tasks"]), ["all", "audio", "both", "image"])
        conditions = ["right", "shuffled", "shuffled_image", "shuffled_audio", "removed"]
        self.assertEqual([p["media"] for p in predictions], [c for c in conditions for _ in held])
        for condition in conditions:
            mine = [p for p in predictions if p["media"] == condition]
            self.assertEqual([p["id"] for p in mine], [r["id"] for r in held])
            self.assertEqual([p["expected"] for p in mine], [r["messages"][1]["content"][0]["text"] for r in held])
            loss = results["tasks"]["all"]["conditions"][condition]["loss"]
            self.assertAlmostEqual(loss["mean"], numpy.mean([p["loss"] for p in mine]), places=9)
            self.assertLess(loss["low"], loss["mean"])
            self.assertGreater(loss["high"], loss["mean"])
            self.assertIn(condition, table)
        right = [p for p in predictions if p["media"] == "right"]
        exact = [p["predicted"].strip() == p["expected"] for p in right]
        self.assertAlmostEqual(results["tasks"]["all"]["conditions"]["right"]["accuracy"]["mean"], numpy.mean(exact))
        again, same, _ = self.evaluate(self.run_folder)
        self.assertEqual((again, same), (results, predictions), "a second evaluation gives the same")
        one, by_one, _ = self.evaluate(self.run_folder, *sets(eval__batch_size=1))
        self.assertEqual([p["predicted"] for p in by_one], [p["predicted"] for p in predictions])
        for left, right in zip(by_one, predictions):
            self.assertAlmostEqual(left["loss"], right["loss"], places=4)

    def test_eval_of_samples_without_task(self):
        path = self.folder / "data" / "held.jsonl"
        lines = records(path)
        for line in lines[:5]:
            del line["task"]
        (self.folder / "data" / "some.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        results, _, _ = self.evaluate(self.config_with("some.toml", [("data/held.jsonl", "data/some.jsonl")]), *sets(eval__generate="false", eval__controls="[]"))
        self.assertEqual(results["tasks"]["all"]["samples"], len(lines), "each sample counts once")

    def generate(self, *args, **values):
        return self.call("generate", self.run_folder, *args, *sets(**values)).stdout

    def test_generate(self):
        _, predictions, _ = self.evaluate(self.run_folder)
        for number, kind in [(0, "image"), (1, "audio")]:
            record = records(self.folder / "data" / "held.jsonl")[number]
            media, text = record["messages"][0]["content"]
            answer = self.generate(f"--{kind}", self.folder / "data" / media[kind], text["text"])
            self.assertEqual(answer, predictions[number]["predicted"] + "\n", "generate says what eval says")
            self.assertEqual(answer, self.generate(f"--{kind}", self.folder / "data" / media[kind], text["text"]))
        hot = dict(generate__temperature=3, generate__max_tokens=24)
        first = self.generate("What colour is the picture?", generate__seed=1, **hot)
        self.assertEqual(first, self.generate("What colour is the picture?", generate__seed=1, **hot))
        self.assertNotEqual(first, self.generate("What colour is the picture?", generate__seed=2, **hot))
        cold = self.generate("What colour is the picture?", generate__temperature=3, generate__top_k=1)
        self.assertEqual(cold, self.generate("What colour is the picture?"), "the likeliest one of one is the greedy one")
        self.assertRegex(self.call("generate", self.run_folder, "x", *sets(generate__max_tokens=5000)).stderr, r"may have 5\d\d tokens, not 5000")
        self.assertIn("tokens", self.call("generate", self.run_folder, "x " * 600, code=3).stderr)
        self.assertIn("nowhere.png", self.call("generate", self.run_folder, "--image", self.folder / "nowhere.png", "x", code=3).stderr)
        self.assertIn("no complete checkpoint", self.call("generate", self.config, "--checkpoint", self.folder, "x", code=4).stderr)

    def test_generate_as_json(self):
        def told(*args, **values):
            return json.loads(self.generate("What colour is the picture?", "--json", *args, **{"generate__max_tokens": 12, **values}))

        plain = self.generate("What colour is the picture?", generate__max_tokens=12)
        first = told("--logprobs", "3")
        self.assertEqual(first["text"] + "\n", plain)
        self.assertNotIn("logprobs", told())
        self.assertEqual([entry["id"] for entry in first["logprobs"]], first["ids"])
        for entry in first["logprobs"]:
            self.assertEqual(entry["top"][0], {key: entry[key] for key in ("id", "token", "logprob")}, "the likeliest is taken")
            self.assertEqual(sorted((one["logprob"] for one in entry["top"]), reverse=True), [one["logprob"] for one in entry["top"]])
            self.assertLess(entry["logprob"], 0)
        text = first["text"]
        self.assertGreater(len(text), 2)
        stop = text[len(text) // 2:]
        cut = told(generate__stop=json.dumps([stop]))
        self.assertEqual((cut["text"], cut["finish"]), (text[:text.index(stop)], "stop"))
        self.assertEqual(self.generate("What colour is the picture?", generate__max_tokens=12, generate__stop=json.dumps([stop])), cut["text"] + "\n")
        self.assertEqual(len(told(generate__max_tokens=3, generate__min_new_tokens=3)["ids"]), 3)
        beams = told("--logprobs", "0", generate__num_beams=4, generate__min_new_tokens=12)
        self.assertEqual((len(beams["ids"]), len(beams["logprobs"])), (12, 12))
        alone = told("--logprobs", "0", generate__min_new_tokens=12)
        self.assertGreaterEqual(sum(entry["logprob"] for entry in beams["logprobs"]), sum(entry["logprob"] for entry in alone["logprobs"]))
        self.assertIn("--json", self.call("generate", self.run_folder, "x", "--logprobs", "1", code=2).stderr)
        self.assertIn("beams are not sampled", self.call("generate", self.run_folder, "x", *sets(generate__num_beams=2, generate__temperature=1), code=2).stderr)

    def test_the_example_of_answers_in_the_docs(self):
        [block] = [block for block in re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "operator.md").read_text(), re.S) if "num_beams" in block]
        file = self.folder / "answers.toml"
        file.write_text(f'extends = "{self.config}"\n{block}')
        told = json.loads(self.call("generate", file, "--checkpoint", self.run_folder, "What colour is the picture?", "--json").stdout)
        self.assertGreaterEqual(len(told["ids"]), 2)

    def test_eval_with_logprobs_and_stop_strings(self):
        plain = self.evaluate(self.run_folder, *sets(eval__controls="[]"))[1]
        said = self.evaluate(self.run_folder, *sets(eval__controls="[]", generate__logprobs=2))[1]
        self.assertTrue(all("logprobs" not in record for record in plain))
        self.assertEqual([record["predicted"] for record in said], [record["predicted"] for record in plain])
        self.assertTrue(all(len(entry["top"]) == 2 for record in said for entry in record["logprobs"]))
        stop = max((record["predicted"] for record in plain), key=len)[1:3]
        cut = self.evaluate(self.run_folder, *sets(eval__controls="[]", generate__stop=json.dumps([stop])))[1]
        self.assertEqual([record["predicted"] for record in cut], [record["predicted"].split(stop)[0] for record in plain])
        self.assertNotEqual([record["predicted"] for record in cut], [record["predicted"] for record in plain])

    def test_eval_with_metrics_of_choice(self):
        from sacrebleu.metrics import BLEU, CHRF

        names = ["wer", "bleu", "corpus_chrf++", "rougeL"]
        results, predictions, shown = self.evaluate(self.run_folder, *sets(eval__controls='["removed"]', eval__metrics=json.dumps(names), eval__bleu_tokenizer="char"))
        predictions = [record for record in predictions if record["media"] == "right"]
        texts = [record["predicted"] for record in predictions], [[record["expected"] for record in predictions]]
        by_task = {}
        for record in predictions:
            by_task.setdefault(record["tags"].get("task", "all"), []).append(record)
        all_tasks = results["tasks"]["all"] if "all" in results["tasks"] else next(iter(results["tasks"].values()))
        scores = all_tasks["conditions"]["right"]
        self.assertEqual(set(scores), {"loss", *names})
        self.assertAlmostEqual(scores["bleu"]["mean"], BLEU(tokenize="char").corpus_score(*texts).score, 9)
        self.assertAlmostEqual(scores["corpus_chrf++"]["mean"], CHRF(word_order=2).corpus_score(*texts).score, 9)
        self.assertLessEqual(scores["bleu"]["low"], scores["bleu"]["high"])
        self.assertEqual(set(all_tasks["right_better_than"]["removed"]), {"loss", "rougeL"}, "only means are compared pair by pair")
        self.assertRegex(shown, r"bleu +\d")

    def test_english_answers(self):
        folder = self.folder / "spelling"
        folder.mkdir()
        (folder / "words.json").write_text('{"red": "rouge"}')
        quick = dict(eval__controls="[]", eval__limit=2, eval__normalizer="whisper_english")
        done = self.call("eval", self.run_folder, "--output", folder / "out", *sets(**quick, eval__spelling=folder / "words.json"))
        self.assertIn("spellings of 1 words", done.stderr)
        done = self.call("eval", self.run_folder, "--output", folder / "out", *sets(**quick))
        self.assertIn("no model directory has a normalizer.json", done.stderr)
        for name, content in (("nowhere.json", None), ("list.json", "[]"), ("numbers.json", '{"a": 1}'), ("broken.json", "{")):
            if content:
                (folder / name).write_text(content)
            self.call("eval", self.run_folder, "--output", folder / "out", *sets(**quick, eval__spelling=folder / name), code=2 if content is None else 4)

    @ON_CPU
    def test_weights_in_8_and_4_bits(self):
        def loss(**values):
            return self.evaluate(self.run_folder, *sets(eval__controls="[]", eval__generate="false", **values))[0]["tasks"]["all"]["conditions"]["right"]["loss"]["mean"]

        plain = loss()
        for weights, most in (("int8", 0.01), ("int4", 0.1)):
            difference = abs(loss(generate__weights=weights) - plain)
            self.assertGreater(difference, 0)
            self.assertLess(difference, most * plain)
            done = self.call("generate", self.run_folder, "What colour is the picture?", *sets(generate__weights=weights))
            self.assertRegex(done.stderr, rf"llm: 14/15 matrices as {weights}, adapters merged, \d+\.\d -> \d+\.\d MiB")  # the tiny vocabulary is not a multiple of 16
            self.assertTrue(done.stdout.strip())
        self.assertIn("int8", self.call("generate", self.run_folder, "x", *sets(generate__weights="int3"), code=2).stderr)

    def test_generate_streams(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps each write apart
        with ours, theirs:
            ours.settimeout(LIMIT)
            command = self.command("generate", self.run_folder, "What", *sets(generate__temperature=50, generate__max_tokens=40))
            process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL)
            theirs.close()
            writes = list(iter(lambda: ours.recv(4096), b""))
            self.assertEqual(process.wait(LIMIT), 0)
        self.assertGreater(len(writes), 10, "each piece of text is written as soon as it is there")

    def test_tensorboard_has_the_metrics(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(self.run_folder))
        events.Reload()
        metrics = records(self.run_folder / "metrics.jsonl")
        self.assertEqual(sorted(events.Tags()["scalars"]), sorted(k for k in metrics[0] if k != "step"))
        for tag in events.Tags()["scalars"]:
            points = events.Scalars(tag)
            self.assertEqual([p.step for p in points], [r["step"] for r in metrics])
            self.assertEqual([numpy.float32(p.value) for p in points], [numpy.float32(r[tag]) for r in metrics], tag)

    def texts(self):
        """A manifest of text alone; returns its path and the conversations."""
        noise = random.Random(7)
        turns = [[{"role": "user", "content": f"What is {noise.random()}?"}, {"role": "assistant", "content": f"It is {noise.random()}."}] for _ in range(5)]
        path = self.folder / "data" / "texts.jsonl"
        path.write_text("".join(json.dumps({"messages": t}) + "\n" for t in turns))
        return path, turns

    def reference_losses(self, model, turns):
        """Mean loss of each answer by transformers."""
        import torch
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self.folder / "merged")
        out = []
        for conversation in turns:
            opened = tokenizer(tokenizer.apply_chat_template(conversation[:1], tokenize=False, add_generation_prompt=True), add_special_tokens=False)["input_ids"]
            answer = tokenizer(conversation[1]["content"] + "<|im_end|>", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([opened + answer])).logits[0, len(opened) - 1 : -1].double()
            out.append(torch.nn.functional.cross_entropy(logits, torch.tensor(answer)).item())
        return out

    def test_export(self):
        merged, (path, turns) = self.folder / "merged", self.texts()
        beside = {"added_tokens.json": "{}\n", "chat_template.json": json.dumps({"chat_template": make_tiny.TEMPLATE})}
        for name, text in beside.items():
            (self.folder / "models" / "llama" / name).write_text(text)
            self.addCleanup((self.folder / "models" / "llama" / name).unlink)
        self.call("export", self.run_folder, "--output", merged)
        for name in [*beside, "tokenizer.json", "tokenizer_config.json"]:
            self.assertEqual((merged / name).read_bytes(), (self.folder / "models" / "llama" / name).read_bytes())
        text_only = [("data/held.jsonl", "data/texts.jsonl")]
        _, adapted, _ = self.evaluate(self.config_with("texts.toml", text_only), "--checkpoint", self.run_folder)
        plain = self.config_with("merged.toml", text_only + [("models/llama", "merged")])
        text = plain.read_text()
        start, end = text.index("[[model.llm.peft]]"), text.index("[model.streams.image]")
        plain.write_text(text[:start] + text[end:])
        _, ours, _ = self.evaluate(plain)
        _, base, _ = self.evaluate(self.config_with("base.toml", text_only))

        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        theirs = self.reference_losses(AutoModelForCausalLM.from_pretrained(merged), turns)
        base_model = AutoModelForCausalLM.from_pretrained(self.folder / "models" / "llama")
        by_peft = self.reference_losses(PeftModel.from_pretrained(base_model, self.run_folder / "adapter").eval(), turns)
        for i, expected in enumerate(theirs):
            self.assertAlmostEqual(adapted[i]["loss"], expected, delta=2e-5)
            self.assertAlmostEqual(ours[i]["loss"], expected, delta=2e-5)
            self.assertAlmostEqual(by_peft[i], expected, delta=2e-5)
            self.assertGreater(abs(base[i]["loss"] - expected), 1e-3, "the adapter does something")

    def test_a_model_out_of_nothing_trains(self):
        shape = "\n".join(f"{k} = {v}" for k, v in dict(vocab_size=make_tiny.vocab_size(), hidden_size=32, intermediate_size=64, num_layers=2, num_heads=4, max_positions=512).items())
        config = self.config_with("random.toml", [(f'weights = "{self.folder}/models/llama"', f'tokenizer = "{make_tiny.TOKENIZER}"\n{shape}')])
        self.train(self.folder / "random", *sets(train__steps=3), config=config)


class Accumulation(Case):
    def gradients(self, name, **values):
        """The gradient of the first step, out of the first moment, and the loss."""
        config = self.folder / "plain.toml"
        config.write_text(self.config.read_text().replace("dropout = 0.1", "dropout = 0.0").replace("train.jsonl", "even.jsonl"))
        run = self.folder / name
        self.train(run, *sets(train__steps=1, train__clip_norm=0, train__optimizer__beta1=0, **values), config=config)
        state = load_file(run / "checkpoints" / checkpoints(run)[0] / "state.safetensors")
        return {k: v for k, v in state.items() if k.endswith("#exp_avg")}, records(run / "metrics.jsonl")[0]

    def test_one_batch_of_many_or_many_of_one(self):
        noise, lines = random.Random(3), []
        for i in range(8):  # of one length, with answers of different lengths
            answer = noise.randrange(1, 40)
            picture = f"train_{3 * i}.png"
            lines.append({"messages": [make_tiny.message("user", {"type": "image", "image": picture}, {"type": "text", "text": "z" * (50 - answer)}), make_tiny.message("assistant", {"type": "text", "text": "z" * answer})]})
        (self.folder / "data" / "even.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        one, first = self.gradients("one", train__tokens_per_batch=80, train__accumulate=8)
        many, second = self.gradients("many", train__tokens_per_batch=8 * 68, train__accumulate=1)
        self.assertEqual((first["train/samples"], second["train/samples"]), (8, 8))
        self.assertEqual(first["train/supervised_tokens"], second["train/supervised_tokens"])
        self.assertAlmostEqual(first["train/loss"], second["train/loss"], delta=1e-6 * first["train/loss"])
        scale = max(abs(v).max() for v in one.values())
        self.assertGreater(scale, 0)
        for name, gradient in one.items():
            numpy.testing.assert_allclose(gradient, many[name], rtol=0, atol=1e-6 * scale, err_msg=name)


if __name__ == "__main__":
    main()
