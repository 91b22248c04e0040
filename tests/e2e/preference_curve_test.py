"""The losses, rewards and log-probabilities that `antiphon train` logs for preferences are those of TRL's DPOTrainer over the same pairs: with everything
trained, of text and of pictures; with a new LoRA, whose reference is the model before it; with a LoRA that was trained before, whose reference is the model
with it; and with the preferred answers' loss added. 12 steps; 100 with ANTIPHON_LONG. TRL has no cDPO any more."""
import copy
import json
import math
import os
import random
from collections import namedtuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, CLIPImageProcessorPil, LlamaForCausalLM, LlavaForConditionalGeneration, LlavaProcessor
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from harness import ON_CPU, Case, main, make_tiny, records

STEPS = 100 if os.environ.get("ANTIPHON_LONG") else 12
PAIRS = 2  # of a step
LIMIT = 1e-5
BETA, RATE, EPS = 0.3, 2e-3, 1e-4
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
METRICS = ["loss", *(f"rewards/{what}" for what in ("chosen", "rejected", "margins", "accuracies")), "logps/chosen", "logps/rejected"]
Data = namedtuple("Data", "path rows room processing")  # the file of the pairs; tokens of the longest pair; TRL's tokenizer or processor


def pairs(count):
    """Of a question and two answers of unequal lengths."""
    draw = random.Random(4)
    words = lambda least: "".join(draw.choices(make_tiny.WORDS, k=draw.randint(least, least + 6)))
    say = lambda role, text: [{"role": role, "content": text}]
    return [{"prompt": say("user", words(14)), "chosen": say("assistant", words(2)), "rejected": say("assistant", words(2))} for _ in range(count)]


def rounded_tie(ours, theirs):
    """The rewards of the first step are zero but for rounding, which then says which answer is better: an encoder whose gradients are wanted computes by other kernels."""
    return theirs["rewards/margins"] == 0 and ours["train/rewards/margins"] != 0


class InOrder(DPOTrainer):
    def _get_train_sampler(self, *args, **kwargs):
        return torch.utils.data.SequentialSampler(self.train_dataset)


@ON_CPU
class PreferenceCurve(Case):
    TRAIN, HELD = 2, 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.llm, cls.llava = cls.folder / "models" / "llama", cls.folder / "models" / "llava"
        make_tiny.write_llava(cls.llava)
        end = "<|im_end|>{{ '\\n' }}"  # TRL supervises what follows the end of an answer, too: nothing shall
        for folder, change in ((cls.llm, lambda template: TEMPLATE), (cls.llava, lambda template: template.replace(end, "<|im_end|>"))):
            config = json.loads((folder / "tokenizer_config.json").read_text())
            (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": change(config["chat_template"])}))
        cls.slot = f'[model.llm]\nplugin = "llama"\nweights = "{cls.llm}"\n'
        cls.text, cls.pictures = cls.of_text(), cls.of_pictures()

    @classmethod
    def data(cls, name, rows, processing, tokens):
        tokens = [tokens(row) for row in rows]
        assert 2 * min(tokens) > max(tokens)  # so that a batch of ours is one pair
        path = cls.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return Data(path, rows, max(tokens), processing)

    @classmethod
    def of_text(cls):
        tokenizer = AutoTokenizer.from_pretrained(cls.llm)
        return cls.data("pairs", pairs(PAIRS * STEPS), tokenizer,
                        lambda row: sum(len(tokenizer.apply_chat_template(row["prompt"] + row[side])["input_ids"]) for side in ("chosen", "rejected")))

    @classmethod
    def of_pictures(cls):
        tokenizer, draw, rows = AutoTokenizer.from_pretrained(cls.llava), random.Random(6), pairs(PAIRS * STEPS)
        for number, row in enumerate(rows):
            picture = cls.folder / f"{number}.png"
            picture.write_bytes(make_tiny.png_bytes(draw.choice(list(make_tiny.COLOURS.values())), draw))
            row["images"] = [str(picture)]
        processor = LlavaProcessor(CLIPImageProcessorPil(**make_tiny.PIXELS), tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
                                   chat_template=tokenizer.chat_template)
        collate = DataCollatorForVisionPreference(processor)
        return cls.data("pictures", rows, processor, lambda row: int(collate([dict(row)])["attention_mask"].sum()))

    def start(self, architecture=LlamaForCausalLM, weights=None):
        return architecture.from_pretrained(weights or self.llm, attn_implementation="eager", dtype=torch.float32)

    def with_lora(self, name, trained=False):
        """The model, and the slot of ours that holds the same method. `trained`: it is as some training has left it."""
        torch.manual_seed(5)  # of which peft draws
        model = get_peft_model(self.start(), LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", task_type="CAUSAL_LM"))
        for key, parameter in model.named_parameters():
            if trained and "lora_B" in key:  # zero in a new one: the model is its own reference
                torch.nn.init.normal_(parameter, std=0.1)
        model.save_pretrained(self.folder / name)
        return model, f'[[model.llm.peft]]\nplugin = "lora"\nrank = 4\nalpha = 12\ntargets = "all-linear"\nweights = "{self.folder / name}"\n'

    def theirs(self, model, reference, data, added):
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, eps=EPS, weight_decay=0)
        options = DPOConfig(output_dir=str(self.folder / "trl"), per_device_train_batch_size=PAIRS, max_steps=STEPS, beta=BETA, max_length=None, max_grad_norm=0, logging_steps=1,
                            report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, save_strategy="no", disable_tqdm=True, logging_strategy="steps",
                            loss_type=["sigmoid", "sft"] if added else ["sigmoid"], loss_weights=[1.0, added] if added else [1.0])
        trainer = InOrder(model=model, ref_model=reference, args=options, train_dataset=Dataset.from_list(data.rows), processing_class=data.processing,
                          optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)))
        trainer.train()
        return [row for row in trainer.state.log_history if "loss" in row]

    def ours(self, name, model, data, added):
        config = self.folder / f"{name}.toml"
        config.write_text(f"""
{model}
[[data.train.sources]]
path = "{data.path}"
[data]
shuffle = false
[objective]
plugin = "preference"
beta = {BETA}
sft_weight = {added}
[train]
steps = {STEPS}
tokens_per_batch = {data.room}
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

    def compare(self, name, model, slots, data=None, reference=None, added=0.0):
        """`slots`: [model] of ours. Without a reference TRL takes the model with its adapter as it is."""
        data = data or self.text
        theirs, ours = self.theirs(model, reference, data, added), self.ours(name, slots, data, added)
        self.assertEqual((len(theirs), len(ours)), (STEPS, STEPS))
        worst, steps = {}, list(zip(ours, theirs))
        for mine in METRICS:
            share = BETA if mine.startswith("rewards") else 0  # of the log-probabilities whose differences they are
            compared = [(a, b) for a, b in steps if mine != "rewards/accuracies" or not rounded_tie(a, b)]
            worst[mine] = max(abs(a[f"train/{mine}"] - b[mine]) / max(abs(b[mine]), share * abs(b["logps/chosen"])) for a, b in compared)
        print(name, {key: f"{value:.1e}" for key, value in worst.items()}, f"from {theirs[0]['loss']:.3f} to {theirs[-1]['loss']:.3f}", flush=True)
        self.assertLess(max(worst.values()), LIMIT, worst)
        if not added:
            self.assertAlmostEqual(ours[0]["train/loss"], math.log(2), delta=LIMIT, msg="the model is its own reference")
            self.assertGreater(max(abs(b["rewards/margins"]) for b in theirs), 0.1, "else nothing is compared")

    def everything(self, name, added=0.0):
        model = self.start()
        self.compare(name, model, self.slot + "trainable = true\n", reference=copy.deepcopy(model), added=added)

    def lora(self, name, trained=False):
        model, method = self.with_lora(name, trained)
        self.compare(name, model, self.slot + method)

    def test_everything_trained(self):
        self.everything("all")

    def test_lora(self):
        self.lora("lora")

    def test_a_lora_that_was_trained_before(self):
        self.lora("tuned", trained=True)

    def test_the_preferred_answers_loss_added(self):
        self.everything("added", added=0.5)

    def test_pictures(self):
        """The encoder and the projector learn, too."""
        model = self.start(LlavaForConditionalGeneration, self.llava)
        slots = f'[model]\nfrom = "{self.llava}"\nllm.trainable = true\nstreams.image.encoder.trainable = true\n'
        self.compare("pictures", model, slots, self.pictures, copy.deepcopy(model))


if __name__ == "__main__":
    main()
