"""A Phi-3 directory through the program: composed, answered, talked to, trained with adapters and whole, exported; transformers and PEFT
read what is written. Texts grow beyond the original context on the way, so that LongRoPE changes sides."""
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file

import make_tiny
from harness import PROGRAM, Case, main, sets
from models import tiny
from models.common import LIMIT, Bench, relative

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
ORIGINAL = 24
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75, "short_factor": [1.0, 1.1, 1.3, 1.6, 2.0, 2.5], "long_factor": [1.0, 2.0, 4.0, 9.0, 30.0, 60.0]}
FP32 = sets(precision__compute="fp32")
PROMPT = "What is the tone?"
TARGETS = 'targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]'


class Phi3(Case):
    TRAIN, HELD = 2, 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bench = cls.enterClassContext(Bench(str(Path(PROGRAM).with_name("model_probe"))))
        cls.source = cls.folder / "Phi-3.5-mini-instruct"
        end = make_tiny.vocab_size() - 1
        cls.model = tiny.phi3(cls.source, hidden_size=64, vocab_size=make_tiny.vocab_size(), max_position_embeddings=512, original_max_position_embeddings=ORIGINAL, rope_parameters=LONG, eos_token_id=[end, end - 2])
        make_tiny.copy_tokenizer(cls.source)
        lines = [{"messages": [{"role": "user", "content": f"What is {i}?"}, {"role": "assistant", "content": "red and green " * (1 + i % 3)}]} for i in range(8)]
        (cls.folder / "data" / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run_of(self, name, llm):
        config, run = self.folder / f"{name}.toml", self.folder / name
        config.write_text(f'[model]\nllm = {{ plugin = "phi3", weights = "{self.source}"{llm} }}\n[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.folder}/data/lines.jsonl"\n')
        self.train(run, *sets(train__steps=2, train__tokens_per_batch=256, train__optimizer__lr=1e-2), *FP32, config=config)
        return run

    def answer(self, model, *args):
        return self.call("generate", model, *FP32, *sets(generate__max_tokens=24), *args, PROMPT).stdout

    def greedy(self, model, count):
        ids = transformers.AutoTokenizer.from_pretrained(self.source).encode(f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n")
        self.assertTrue(len(ids) <= ORIGINAL < len(ids) + count, "the answer crosses")
        out = model.generate(torch.tensor([ids]), max_new_tokens=count, do_sample=False, pad_token_id=0)[0, len(ids):].tolist()
        return transformers.AutoTokenizer.from_pretrained(self.source).decode(out, skip_special_tokens=True)

    def test_answers(self):
        said = self.answer(self.source)
        self.assertEqual(said.strip("\n"), self.greedy(self.model, 24).strip("\n"))
        composed = self.folder / "composed.toml"
        composed.write_text(self.call("compose", self.source).stdout)
        self.assertIn('plugin = "phi3"', composed.read_text())
        self.assertEqual(self.answer(composed), said)
        talk = self.call("chat", self.source, *FP32, *sets(generate__max_tokens=24), input=f"{PROMPT}\nWhat is red?\n").stdout
        self.assertIn(said.strip(), talk)
        self.assertEqual(self.answer(self.source, *sets(generate__num_beams=2)), self.answer(composed, *sets(generate__num_beams=2)))
        for weights in ("int8", "int4", "nf4"):
            self.call("generate", self.source, *sets(generate__max_tokens=24, precision__weights=weights), PROMPT)
        self.assertIn("model: phi3\n", self.call("inspect", self.source).stdout)

    def test_adapters_are_pefts_on_the_fused_layers(self):
        run = self.run_of("lora", f", peft = [{{ plugin = \"lora\", rank = 4, {TARGETS} }}]")
        adapter = load_file(run / "adapter" / "adapter_model.safetensors")
        self.assertEqual({name.split(".")[6] for name in adapter}, {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"})
        ids = [[5, 9, 70, 44, 3, 17] * 8]
        ours = self.bench.ask("model", run=run, ids=ids)[1]["logits"]
        theirs = PeftModel.from_pretrained(transformers.Phi3ForCausalLM.from_pretrained(self.source), run / "adapter").eval()
        out = self.folder / "merged"
        self.assertIn("a phi3 language model", self.call("export", run, "--output", out, "--check").stderr)
        merged, info = transformers.Phi3ForCausalLM.from_pretrained(out, output_loading_info=True)
        self.assertEqual({name: keys for name, keys in info.items() if keys}, {})
        before, after = load_file(self.source / "model.safetensors"), load_file(out / "model.safetensors")
        self.assertEqual(before.keys(), after.keys())
        self.assertEqual({name for name in before if torch.equal(before[name], after[name])}, {name for name in before if "_proj" not in name})
        with torch.no_grad():
            plain = self.model(torch.tensor(ids)).logits[0]
            self.assertGreater(relative(ours, plain), 1e-3, "the training did something")
            for model in (theirs, merged.eval()):
                self.assertLessEqual(relative(ours, model(torch.tensor(ids)).logits[0]), LIMIT)
        self.assertEqual(self.answer(run), self.answer(out))

    def test_trained_whole(self):
        run, out = self.run_of("whole", ", trainable = true"), self.folder / "whole_out"
        self.call("export", run, "--output", out)
        ids = [[5, 9, 70, 44, 3, 17] * 8]
        ours = self.bench.ask("model", run=run, ids=ids)[1]["logits"]
        model = transformers.Phi3ForCausalLM.from_pretrained(out).eval()
        with torch.no_grad():
            self.assertLessEqual(relative(ours, model(torch.tensor(ids)).logits[0]), LIMIT)

    def test_other_methods_say_that_peft_does_not_read_them(self):
        config, run = self.folder / "ia3.toml", self.folder / "ia3"
        config.write_text(f'[model]\nllm = {{ plugin = "phi3", weights = "{self.source}", peft = [{{ plugin = "ia3", targets = ["k_proj", "v_proj", "down_proj"] }}] }}\n[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.folder}/data/lines.jsonl"\n')
        said = self.train(run, *sets(train__steps=1, train__tokens_per_batch=256), *FP32, config=config).stderr
        self.assertIn("PEFT does not read this adapter", said)
        again = self.folder / "ia3_again.toml"
        again.write_text(config.read_text().replace('plugin = "ia3",', f'plugin = "ia3", weights = "{run}/adapter",'))
        self.assertEqual(self.answer(again), self.answer(run))


if __name__ == "__main__":
    main()
