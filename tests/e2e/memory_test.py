"""What `antiphon validate` says of memory is within 15 % of the largest resident size of a training that writes a checkpoint
while it goes on: compositions of random weights. Of weights in a file, what is kept in fewer bits takes less."""
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

from harness import LONG, Case, main
import make_tiny

TOKENIZER = Path(make_tiny.TOKENIZER)
BOUND = 0.15
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SMALL = dict(hidden_size=384, intermediate_size=1024, num_layers=8, num_heads=6, num_kv_heads=2, head_size=64, vocab_size=12000, max_positions=4096)
LARGE = dict(hidden_size=768, intermediate_size=2048, num_layers=8, num_heads=12, num_kv_heads=4, head_size=64, vocab_size=32000, max_positions=4096)
VIT = dict(hidden_size=384, intermediate_size=1536, num_layers=8, num_heads=6, patch_size=14, image_size=224, input_size=224)
WHISPER = dict(hidden_size=256, intermediate_size=1024, num_layers=4, num_heads=4)
LORA = '[[model.llm.peft]]\nplugin = "lora"\nrank = 16\nalpha = 32\ntargets = ["all-linear"]\n'


def table(name, values):
    return f"[{name}]\n" + "".join(f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n" for key, value in values.items())


def llm(plugin, shape, trainable=False):
    return table("model.llm", {"plugin": plugin, **shape, "tokenizer": str(TOKENIZER), "trainable": trainable})


def stream(name, encoder, connector):
    return table(f"model.streams.{name}.encoder", encoder) + table(f"model.streams.{name}.connector", connector)


PICTURES = stream("image", {"plugin": "siglip", **VIT}, {"plugin": "mlp"})
SOUNDS = stream("audio", {"plugin": "whisper", **WHISPER, "length": "window"}, {"plugin": "frame_stack", "factor": 10})
# glibc's memory in pages of 2 MiB depends on what else the machine does.
SMALL_PAGES = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}
DPO = '[objective]\nplugin = "preference"\n'
COMPOSITIONS = {
    "full fine-tuning, fp32": (llm("llama", SMALL, True), (), "fp32", 1024),
    "adapters, auto": (llm("llama", LARGE) + LORA, (), "auto", 2048),
    "connector, fp32": (llm("qwen2", SMALL) + PICTURES, ("image",), "fp32", 2048),
    "audio encoder, auto": (llm("llama", SMALL) + SOUNDS.replace("[model.streams.audio.encoder]\n", "[model.streams.audio.encoder]\ntrainable = true\n"), ("audio",), "auto", 1024),
    "two streams and adapters, auto": (llm("llama", LARGE) + LORA + PICTURES + SOUNDS, ("both",), "auto", 2048),
    "adapters on an encoder, fp32": (llm("qwen2", SMALL) + PICTURES + '[[model.streams.image.encoder.peft]]\nplugin = "lora"\nrank = 16\ntargets = ["all-linear"]\n', ("image",), "fp32", 2048),
    "experts, fp32": (llm("qwen3_moe", {**SMALL, "moe_intermediate_size": 512, "num_experts": 8, "num_experts_per_tok": 2}, True), (), "fp32", 1024),
    "adapters over int4, auto": (llm("llama", LARGE) + LORA, (), "auto", 2048, {}, {"weights": "int4"}),
    "adapters over int8, auto": (llm("llama", LARGE) + LORA, (), "auto", 2048, {}, {"weights": "int8"}),
    "adapters over nf4, auto": (llm("llama", LARGE) + LORA, (), "auto", 2048, {}, {"weights": "nf4"}),
    "full fine-tuning, kept on the host, fp32": (llm("llama", SMALL, True), (), "fp32", 1024, {}, {}, {"offload_optimizer": True}),
    "adapters, blocks computed again, fp32": (llm("llama", LARGE) + LORA, (), "fp32", 2048, {"recompute": "full"}),
    "capped scores, adapters, fp32": (llm("gemma", {**SMALL, "attn_logit_softcapping": 5.0}) + LORA + PICTURES, ("image",), "fp32", 2048),
    "many narrow heads, adapters, auto": (llm("llama", {**SMALL, "num_heads": 96, "num_kv_heads": 6, "head_size": 8}) + LORA, (), "auto", 2048),
    "preference, many logits at once, fp32": (DPO + llm("llama", {**SMALL, "vocab_size": 32000}, True), ("pairs",), "fp32", 1024, {"logits_chunk": 1024, "checkpoint_every": 9}),
}
FEW = ["full fine-tuning, fp32", "adapters, auto", "audio encoder, auto", "two streams and adapters, auto", "experts, fp32", "adapters over nf4, auto", "adapters, blocks computed again, fp32"]


class Memory(Case):
    FORKED = False
    TRAIN, HELD = 2, 1

    def data(self, kinds):
        path = self.folder / "data" / f"{'_'.join(kinds) or 'text'}.jsonl"
        if kinds == ("pairs",):
            pair = {"prompt": "What is this?", "chosen": "red and green " * 6, "rejected": "blue and green " * 6}
            path.write_text((json.dumps(pair) + "\n") * 400)
        elif kinds:
            make_tiny.write_set(path, 40, seed=3, kinds=kinds)
        else:
            turns = [{"role": "user", "content": "What is this?"}, {"role": "assistant", "content": "red and green " * 6}]
            path.write_text((json.dumps({"messages": turns}) + "\n") * 400)
        return path

    def configuration(self, name):
        model, kinds, compute, tokens, *more = COMPOSITIONS[name]
        file = self.folder / f"{name.replace(' ', '_').replace(',', '')}.toml"
        file.write_text(model + f'[data]\nfeature_cache = ""\nprefetch = 8\ntrain.sources = [{{ path = "{self.data(kinds)}" }}]\n'
                        + table("train", {"steps": 2, "checkpoint_every": 1, "tokens_per_batch": tokens, **(more[0] if more else {})}) + table("precision", {"compute": compute, **(more[1] if len(more) > 1 else {})})
                        + table("parallel", more[2] if len(more) > 2 else {}))
        return file

    def estimate(self, file):
        said = re.search(r"memory for training on the CPU, estimated: ([\d.]+) (\w+) .*", self.call("validate", file).stdout)
        return float(said[1]) * UNITS[said[2]], said[0]

    def measured(self, file):
        """The largest resident size, as the kernel counted it."""
        with open(self.folder / "log.txt", "w") as log:
            process = subprocess.Popen(self.command("train", file, "--set", f"train.output={file.with_suffix('.run')}"), stdout=log, stderr=log, env=SMALL_PAGES)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, (self.folder / "log.txt").read_text()[-3000:])
        return usage.ru_maxrss * 1024

    def test_compositions(self):
        for name in COMPOSITIONS if LONG else FEW:
            with self.subTest(name):
                file = self.configuration(name)
                estimated, said = self.estimate(file)
                took = self.measured(file)
                print(f"{name}: {took / 2**20:.0f} MiB; {estimated / took - 1:+.1%}; {said}", flush=True)
                self.assertLess(abs(estimated / took - 1), BOUND, said)

    def test_weights_in_a_file(self):
        """57 million weights in float32: what few bits replace does not stay in memory because the file is mapped for the rest of it."""
        make_tiny.write_llama(self.folder / "large", hidden=1024, layers=6)
        took = {}
        for weights in ("", "nf4", "int8", "int4"):
            file = self.folder / f"file_{weights}.toml"
            file.write_text(table("model.llm", {"plugin": "llama", "weights": str(self.folder / "large")}) + LORA + f'[data]\ntrain.sources = [{{ path = "{self.data(())}" }}]\n'
                            + table("train", {"steps": 2, "tokens_per_batch": 64}) + table("precision", {"compute": "fp32", "weights": weights}))
            took[weights] = self.measured(file) / 2**20
        print(took, flush=True)
        whole = 9 * 1024**2 * 6 * 4 / 2**20
        self.assertLess(took["nf4"], took[""] - 0.6 * whole)
        self.assertLess(took["int8"], took[""] - 0.5 * whole)
        self.assertLess(took["int4"], took[""] - 0.6 * whole)


if __name__ == "__main__":
    main()
