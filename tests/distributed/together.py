"""Runs of one and of several processes, and what must be equal between them."""

import json
import os
import signal
import socket
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import make_tiny
from harness import DEVICE, LIMIT, Case, checkpoints, children, losses, records, sets

# A larger epsilon: with the usual one AdamW makes whole steps of what is only rounding.
COMMON = sets(train__steps=8, train__accumulate=4, train__tokens_per_batch=96, train__checkpoint_every=4, precision__compute="fp32", train__optimizer__eps=1e-5)
ALL = sets(model__llm__trainable="true", model__streams__image__encoder__trainable="true")  # each parameter
METHODS = {
    "ptuning": 'plugin = "ptuning"\ntokens = 3',
    "prompt_tuning": 'plugin = "prompt_tuning"\ntokens = 3',
    "prefix_tuning": 'plugin = "prefix_tuning"\ntokens = 3\nprojection = true',
    "ia3": 'plugin = "ia3"',
    "adapters": 'plugin = "adapters"',
    "parallel_adapters": 'plugin = "parallel_adapters"\nbottleneck = 8\nsublayers = "both"',
    "vera": 'plugin = "vera"\nrank = 16\ndropout = 0.1',
    "selective": 'plugin = "selective"\ntargets = ["model.layers.1.*", "norm"]',
    "dora": 'plugin = "lora"\nrank = 4\ndora = true\ntargets = ["q_proj", "down_proj"]\nmodules_to_save = ["input_layernorm"]',
    "pissa": 'plugin = "lora"\nrank = 4\ninit = "pissa"\ndropout = 0.1',
}
# Of the embedding and of the head; what is of one process's tokens alone among them.
TABLES = {
    "tables": 'plugin = "lora"\nrank = 4\ndropout = 0.1\ntargets = ["q_proj", "embed_tokens", "lm_head"]',
    "tokens": 'plugin = "lora"\nrank = 4\ntargets = ["v_proj"]\ntrainable_token_indices = { embed_tokens = [5, 7, 40], lm_head = [7, 41] }',
    "trainable_tokens": 'plugin = "trainable_tokens"\ntoken_indices = [5, 7, 40]\ntables = ["embed_tokens", "lm_head"]',
}
# What learns, if connectors do not, lies before all blocks.
READ = 'plugin = "lora"\nrank = 4\ntargets = ["embed_tokens"]'
FIXED = sets(model__streams__image__connector__trainable="false", model__streams__audio__connector__trainable="false")
CONFORMER = '{ plugin = "frame_stack", factor = 5 }', '{ plugin = "conformer", hidden_size = 32, num_layers = 2, num_heads = 2, dropout = 0.1 }'


def values_in(path, name, file):
    """A tensor of a file; of bfloat16, which numpy has not, in float32."""
    if file.get_slice(name).get_dtype() != "BF16":
        return file.get_tensor(name)
    from safetensors import safe_open

    with safe_open(path, "pt") as other:
        return other.get_tensor(name).float().numpy()


def tensors(run, kind="parameters"):
    """Of the newest checkpoint, whoever wrote which part: pieces are put together."""
    import numpy
    from safetensors import safe_open

    whole, held = {}, {}
    for path in sorted((run / "checkpoints" / checkpoints(run)[0]).glob(f"{kind}*.safetensors")):
        with safe_open(path, "numpy") as file:
            boxes = json.loads((file.metadata() or {}).get("boxes", "{}"))
            for name in file.keys():
                values = values_in(path, name, file)
                box = boxes.get(name, {"whole": values.shape, "begin": [0] * values.ndim})
                place = tuple(slice(begin, begin + size) for begin, size in zip(box["begin"], values.shape))
                whole.setdefault(name, numpy.full(box["whole"], 0, values.dtype))[place] = values
                held[name] = held.get(name, 0) + values.size
    assert all(held[name] == values.size for name, values in whole.items()), "pieces do not cover their tensors"
    return whole


def experts(case):
    """The tiny composition with a trained mixture of experts; a file."""
    text = case.config.read_text()
    start, end = text.index("[model.llm]"), text.index("[model.streams.image]")
    llm = f"""[model.llm]
plugin = "qwen3_moe"
tokenizer = "{case.folder}/models/llama"
trainable = true
vocab_size = {make_tiny.vocab_size()}
hidden_size = 32
intermediate_size = 48
moe_intermediate_size = 16
num_layers = 3
num_heads = 4
num_kv_heads = 2
max_positions = 512
num_experts = 4
num_experts_per_tok = 2
mlp_only_layers = [0]
output_router_logits = true
router_aux_loss_coef = 0.5

"""
    path = case.folder / "experts.toml"
    path.write_text(text[:start] + llm + text[end:])
    return path


def limited_experts(case):
    """Experts with a capacity and an MLP for all tokens beside them, and both losses of the router; a file."""
    text = experts(case).read_text().replace('plugin = "qwen3_moe"\n', 'plugin = "qwen2_moe"\nshared_expert_intermediate_size = 24\n')
    path = case.folder / "limited.toml"
    path.write_text(text.replace("router_aux_loss_coef = 0.5\n", "router_aux_loss_coef = 0.5\nrouter_z_loss_coef = 0.1\nexpert_capacity_factor = 0.8\n"))
    return path


class Together(Case):
    TRAIN, HELD = 40, 6
    MESH = ()  # options of the runs of several processes
    OF_DEVICE = "cpu"  # gpu_test.py has what is compared on a GPU

    @classmethod
    def setUpClass(cls):
        if cls.OF_DEVICE != (DEVICE or "cpu"):
            raise unittest.SkipTest(f"for the device {cls.OF_DEVICE}")
        super().setUpClass()

    def run_with(self, name, processes, *args, config=None, code=0):
        run = self.folder / name
        verb = ("launch", config or self.config, "--procs", processes) if processes > 1 else ("train", config or self.config)
        done = self.call(*verb, *sets(train__output=run), *COMMON, *(self.MESH if processes > 1 else ()), *args, code=code)
        return run, done

    def by_hand(self, run, environments, *args, of_each=None, config=None, folders=None):
        """A process for each environment, without a launcher; their exit codes and what they say. `folders`: in which each is started."""
        processes = []
        with socket.create_server(("127.0.0.1", 0)) as listener:  # the first takes it over, so that nobody else gets the port
            for rank, more in enumerate(environments):
                env = {**os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank), "WORLD_SIZE": str(len(environments)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(listener.getsockname()[1]), **more}
                handed = {} if rank else {"pass_fds": [listener.fileno()]}
                if not rank:
                    env["ANTIPHON_LISTENER"] = str(listener.fileno())
                own = of_each[rank] if of_each else []
                processes.append(self.start("train", config or self.config, *sets(train__output=run), *args, *own, env=env, cwd=folders[rank] if folders else None, **handed))
        texts = [process.communicate(timeout=LIMIT)[1] for process in processes]
        return [process.returncode for process in processes], texts

    def edited(self, name, *pairs, config=None):
        """A configuration with texts replaced; a file."""
        text = (config or self.config).read_text()
        for old, new in pairs:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def connectors_only(self):
        """The configuration without adapters; a file."""
        text = self.config.read_text()
        return self.edited("connectors", (text[text.index("[[model.llm.peft]]") : text.index("[model.streams.image]")], ""))

    def hand_on(self, stations, *args):
        """A run that is resumed at each station (steps, processes, options of its mesh); args of all."""
        run = self.folder / "handed_on"
        for i, (steps, processes, mesh) in enumerate(stations):
            verb = ("launch", self.config, "--procs", processes) if processes > 1 else ("train", self.config)
            self.call(*verb, *sets(train__output=run), *COMMON, *args, *mesh, *sets(train__steps=steps), *(["--resume"] if i else []))
            self.station(run, steps, mesh)
        self.assertEqual(list(losses(run)), list(range(1, stations[-1][0] + 1)))
        return run

    def station(self, run, steps, mesh):
        """What is to be looked at after one."""

    def compare_stopped(self):
        """One is asked to while it trains and measures: all do after the same step."""
        run = self.folder / "stopped"
        args = [*sets(train__output=run), *COMMON, *self.MESH, *sets(train__steps=2000, train__eval_every=1, train__checkpoint_every=500)]
        process = self.start("launch", self.config, "--procs", 2, *args)
        self.wait_for_step(run, 6, process)
        os.kill(children(process)[1], signal.SIGUSR1)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75, err[-3000:])
        self.assertEqual(len(checkpoints(run)), 1)

    def with_method(self, table):
        """The configuration with this method in place of LoRA; a file."""
        lora = self.config.read_text()
        lora = lora[lora.index('plugin = "lora"') : lora.index("[model.streams.image]")]
        return self.edited("method", (lora, table + "\n\n"))

    def compare_methods(self, **other):
        """Of fine-tuning other than LoRA on layers; `other`: more of them."""
        from safetensors.numpy import load_file

        for name, table in {**METHODS, **TABLES, **other}.items():
            with self.subTest(name):
                self.compare(name, *sets(train__steps=4), config=self.with_method(table), counts=(2,))
                one, two = (load_file(self.folder / f"{name}_{n}" / "adapter" / "adapter_model.safetensors") for n in (1, 2))
                self.assertEqual(one.keys(), two.keys())
                for key, value in one.items():
                    self.assertEqual(value.shape, two[key].shape, key)
                    self.assertLessEqual(abs(value - two[key]).max(), 4e-4 * abs(value).max() + 2e-5, key)

    def compare_frozen(self):
        """`model.freeze`: of trained parts the same stays, and is not kept."""
        frozen = ("llm/embed_tokens", "llm/layers.0.", "streams.image.encoder/layers.")
        one = self.compare("freeze", *ALL, *sets(model__freeze='["llm/embed_tokens", "llm/layers.0.*", "streams.image.encoder/layers.*"]'), counts=(2,))
        for run in (one, self.folder / "freeze_2"):
            kept = tensors(run)
            self.assertEqual([name for name in kept if name.startswith(frozen)], [])
            self.assertIn("llm/layers.1.mlp.up_proj.weight", kept)

    def compare_in_bf16(self):
        """Everything trained; what is rounded depends on who adds it up."""
        one, two = (self.run_with(f"bf16_{processes}", processes, *ALL, *sets(precision__compute="bf16"))[0] for processes in (1, 2))
        self.assert_same_progress(one, two)
        self.assertEqual(losses(one).keys(), losses(two).keys())
        for step, loss in losses(one).items():
            self.assertAlmostEqual(loss, losses(two)[step], delta=1e-2 * loss, msg=f"step {step}")
        first = [records(run / "metrics.jsonl")[0]["train/gradient_norm"] for run in (one, two)]
        self.assertAlmostEqual(*first, delta=1e-2 * first[0])

    def spoilt_source(self):
        """Options of a source of which some samples cannot be read."""
        good = self.config.parent / "data" / "train.jsonl"
        lines = good.read_text().splitlines()
        for i in (3, 10, 17, 30):
            lines[i] = lines[i].replace(".png", ".gone").replace(".wav", ".gone")
        path = good.with_name("spoilt.jsonl")
        path.write_text("\n".join(lines) + "\n")
        return [*sets(data__max_bad_fraction=1), "--set", f'data.train.sources=[{{ path = "{path}" }}]']

    def compare_bad_samples(self):
        """Skipped, counted and listed as by one process."""
        one = self.compare("spoilt", *self.spoilt_source(), counts=(2,))
        listed = [sorted(record["line"] for record in records(self.folder / f"spoilt_{n}" / "bad_samples.jsonl")) for n in (1, 2)]
        self.assertEqual(listed[0], listed[1])
        self.assertGreater(len(listed[0]), 1)
        self.assertEqual(list(one.parent.glob("spoilt_2/bad_samples.*.jsonl")), [])

    def compare_held_out(self, tolerance, *args, counts=(2,), mesh=()):
        one = self.folder / "held_1"
        if not one.exists():
            self.run_with("held_1", 1, *sets(train__eval_every=4), *args)
        for processes in counts:
            name = f"held_{processes}" + "".join(word.rpartition(".")[2] for word in mesh if "=" in word)
            more, _ = self.run_with(name, processes, *sets(train__eval_every=4), *args, *mesh)
            values = [[r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r] for run in (one, more)]
            self.assertEqual(len(values[0]), 2)
            for left, right in zip(*values, strict=True):
                self.assertAlmostEqual(left, right, delta=tolerance * left)

    def compare_what_is_written(self):
        """eval, export and another run read it as what one process has written."""
        from safetensors.numpy import load_file

        outputs = []
        for processes in (1, 2):
            run, _ = self.run_with(f"used_{processes}", processes, *sets(train__steps=3))
            self.call("eval", run, "--only", "held", "--output", self.folder / f"eval_{processes}")
            self.call("export", run, "--output", self.folder / f"exported_{processes}")
            files = sorted((self.folder / f"exported_{processes}").rglob("*.safetensors")) + sorted(run.rglob("adapter*/*.safetensors")) + sorted((run / "connectors").glob("*"))
            second = self.folder / f"second_{processes}"
            self.train(second, *COMMON, *sets(train__steps=2, model__streams__image__connector__weights=f'"{run}"'))
            outputs.append([(path.name, load_file(path)) for path in files])
        self.assertGreater(len(outputs[0]), 3)
        for (name, one), (same, two) in zip(*outputs, strict=True):
            self.assertEqual(name, same)
            for key, value in one.items():
                self.assertEqual(value.shape, two[key].shape, key)
                self.assertLessEqual(abs(value.astype("float64") - two[key].astype("float64")).max(), 1e-3 * abs(value).max() + 1e-6, key)

    def assert_close(self, left, right, tolerance):
        self.assertEqual(losses(left).keys(), losses(right).keys())
        for step, loss in losses(left).items():
            self.assertAlmostEqual(loss, losses(right)[step], delta=tolerance * loss, msg=f"step {step}")
        # Biases before a softmax or a batch norm have no gradient but what rounding leaves.
        for file, rounding in (("parameters", 2e-5), ("state", 1e-8)):
            a, b = tensors(left, file), tensors(right, file)
            self.assertEqual(a.keys(), b.keys())
            for name, x in a.items():
                if x.dtype.kind == "f":
                    self.assertLessEqual(abs(x - b[name]).max(), 20 * tolerance * abs(x).max() + rounding, name)

    def assert_same_progress(self, left, right):
        def progress(run):
            value = json.loads((run / "checkpoints" / checkpoints(run)[0] / "progress.json").read_text())
            return {key: value[key] for key in ("step", "trained_tokens", "loader", "data", "draws")}
        self.assertEqual(progress(left), progress(right))

    def compare(self, name, *args, config=None, counts=(2, 4)):
        one, _ = self.run_with(f"{name}_1", 1, *args, config=config)
        for processes in counts:
            with self.subTest(processes=processes):
                many, _ = self.run_with(f"{name}_{processes}", processes, *args, config=config)
                self.assert_same_training(one, many)
        return one

    def assert_same_training(self, one, many):
        self.assert_same_progress(one, many)
        self.assert_close(one, many, 2e-5)
        for left, right in zip(records(one / "metrics.jsonl"), records(many / "metrics.jsonl")):
            media = [key for key in left if key.startswith("media/")]
            self.assertNotEqual(media, [])
            for key in ("train/supervised_tokens", "train/samples", "train/bad_samples", *media):
                self.assertEqual(left[key], right[key], key)
            # Beside the clipped update, which would hide that all gradients are twice as large.
            self.assertAlmostEqual(left["train/gradient_norm"], right["train/gradient_norm"], delta=1e-4 * left["train/gradient_norm"])

    def compare_averages(self, *args):
        """train.ema and train.keep_best: averages, measured and kept alike."""
        args = [*args, *sets(train__ema__decay=0.8, train__eval_every=2, train__keep_best=2, train__best_metric='"eval/held/loss"', train__optimizer__lr=0.01)]
        one, two = (self.run_with(f"averages_{processes}", processes, *args)[0] for processes in (1, 2))
        self.assert_same_training(one, two)
        self.assertTrue(any(name.endswith("#ema") for name in tensors(two, "state")))
        left, right = ([r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r] for run in (one, two))
        self.assertEqual(len(left), 4)
        for a, b in zip(left, right, strict=True):
            self.assertAlmostEqual(a, b, delta=1e-4 * a)
        kept = [sorted(path.name for path in (run / "best").iterdir()) for run in (one, two)]
        self.assertEqual(kept[0], kept[1])
        self.assertEqual(len(kept[0]), 2)

    def compare_axes(self, axes, processes=4):
        """Of adapters, and of everything trained; `axes`: options of meshes, by name."""
        for what, args in (("lora", []), ("all", ALL)):
            one, _ = self.run_with(f"axes_{what}_1", 1, *args)
            for axis, mesh in axes.items():
                with self.subTest(f"{axis} {what}"):
                    many, _ = self.run_with(f"axes_{axis}_{what}", processes, *args, *mesh)
                    self.assert_same_training(one, many)

    def drawn(self, name, layers, **options):
        """The configuration with a language model that is drawn; a file."""
        shape = {"vocab_size": make_tiny.vocab_size(), "hidden_size": 32, "intermediate_size": 45, "num_layers": layers, "num_heads": 4, "num_kv_heads": 2, "max_positions": 512, **options}
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in shape.items())
        return self.edited(name, (f'weights = "{self.folder}/models/llama"\n', f'tokenizer = "{self.folder}/models/llama"\n{lines}'))
