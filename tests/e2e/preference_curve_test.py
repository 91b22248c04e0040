"""The losses, rewards and log-probabilities that `antiphon train` logs for preferences are those of TRL's DPOTrainer over the same pairs: with everything
trained, with LoRA, whose reference is the model before it, and with the preferred answers' loss added. 12 steps; 100 with ANTIPHON_LONG. TRL has no cDPO any more."""
import copy
import json
import os
import random

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, LlamaForCausalLM
from trl import DPOConfig, DPOTrainer

from harness import ON_CPU, Case, main, make_tiny, records

STEPS = 100 if os.environ.get("ANTIPHON_LONG") else 12
PAIRS = 2  # of a step
LIMIT = 1e-5
BETA, RATE, EPS = 0.3, 2e-3, 1e-4
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
METRICS = ["loss", *(f"rewards/{what}" for what in ("chosen", "rejected", "margins", "accuracies")), "logps/chosen", "logps/rejected"]


def pairs(count):
    """Of a question and two answers of unequal lengths."""
    draw = random.Random(4)
    words = lambda least: "".join(draw.choices(make_tiny.WORDS, k=draw.randint(least, least + 6)))
    say = lambda role, text: [{"role": role, "content": text}]
    return [{"prompt": say("user", words(14)), "chosen": say("assistant", words(2)), "rejected": say("assistant", words(2))} for _ in range(count)]


class InOrder(DPOTrainer):
    def _get_train_sampler(self, *args, **kwargs):
        return torch.utils.data.SequentialSampler(self.train_dataset)


@ON_CPU
class PreferenceCurve(Case):
    TRAIN, HELD = 2, 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.llm = cls.folder / "models" / "llama"
        config = json.loads((cls.llm / "tokenizer_config.json").read_text())
        (cls.llm / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": TEMPLATE}))
        cls.tokenizer, cls.pairs = AutoTokenizer.from_pretrained(cls.llm), pairs(PAIRS * STEPS)
        tokens = [sum(len(cls.tokenizer.apply_chat_template(pair["prompt"] + pair[side])["input_ids"]) for side in ("chosen", "rejected")) for pair in cls.pairs]
        cls.room = max(tokens)
        assert 2 * min(tokens) > cls.room  # so that a batch of ours is one pair
        (cls.folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in cls.pairs))

    def start(self, lora):
        model = LlamaForCausalLM.from_pretrained(self.llm, attn_implementation="eager", dtype=torch.float32)
        if not lora:
            return model, copy.deepcopy(model)
        torch.manual_seed(5)  # of which peft draws
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", task_type="CAUSAL_LM"))
        model.save_pretrained(self.folder / "lora")  # B is zero: the model is its own reference
        return model, None

    def theirs(self, lora, added):
        model, reference = self.start(lora)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=RATE, eps=EPS, weight_decay=0)
        options = DPOConfig(output_dir=str(self.folder / "trl"), per_device_train_batch_size=PAIRS, max_steps=STEPS, beta=BETA, max_length=None, max_grad_norm=0, logging_steps=1,
                            report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, save_strategy="no", disable_tqdm=True, logging_strategy="steps",
                            loss_type=["sigmoid", "sft"] if added else ["sigmoid"], loss_weights=[1.0, added] if added else [1.0])
        trainer = InOrder(model=model, ref_model=reference, args=options, train_dataset=Dataset.from_list(self.pairs), processing_class=self.tokenizer,
                          optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)))
        trainer.train()
        return [row for row in trainer.state.log_history if "loss" in row]

    def ours(self, name, lora, added):
        peft = f'[[model.llm.peft]]\nplugin = "lora"\nrank = 4\nalpha = 12\ntargets = "all-linear"\nweights = "{self.folder}/lora"\n' if lora else "trainable = true\n"
        config = self.folder / f"{name}.toml"
        config.write_text(f"""
[model.llm]
plugin = "llama"
weights = "{self.llm}"
{peft}
[[data.train.sources]]
path = "{self.folder}/pairs.jsonl"
[data]
shuffle = false
[objective]
plugin = "preference"
beta = {BETA}
sft_weight = {added}
[train]
steps = {STEPS}
tokens_per_batch = {self.room}
accumulate = {PAIRS}
clip_norm = 0
checkpoint_every = {STEPS}
[train.optimizer]
name = "adamw"
lr = {RATE}
eps = {EPS}
weight_decay = 0
[train.schedule]
name = "constant"
[precision]
compute = "fp32"
""")
        run = self.folder / f"{name}_run"
        self.train(run, config=config)
        return records(run / "metrics.jsonl")

    def compare(self, name, lora=False, added=0.0):
        theirs, ours = self.theirs(lora, added), self.ours(name, lora, added)
        self.assertEqual((len(theirs), len(ours)), (STEPS, STEPS))
        worst = {}
        for mine in METRICS:
            share = BETA if mine.startswith("rewards") else 0  # of the log-probabilities whose differences they are
            worst[mine] = max(abs(a[f"train/{mine}"] - b[mine]) / max(abs(b[mine]), share * abs(b["logps/chosen"])) for a, b in zip(ours, theirs))
        print(name, {key: f"{value:.1e}" for key, value in worst.items()}, f"from {theirs[0]['loss']:.3f} to {theirs[-1]['loss']:.3f}", flush=True)
        self.assertLess(max(worst.values()), LIMIT, worst)

    def test_everything_trained(self):
        self.compare("all")

    def test_lora(self):
        self.compare("lora", lora=True)

    def test_the_preferred_answers_loss_added(self):
        self.compare("added", added=0.5)


if __name__ == "__main__":
    main()
