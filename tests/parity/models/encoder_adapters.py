"""LoRA of peft on encoders (CLIP, Whisper) and a connector beside that on the language model: loss, hidden states, every
gradient, and the adapters that we write in peft."""
import json

import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import CLIPVisionModel

from . import tiny
from .composed import FACTOR, POOL, Composition, ask, compare
from .conversations import SAMPLES
from .lora import plain, with_random_lora

RANK, ALPHA = 3, 6


def lora_table(folder, targets):
    return f'[{{ plugin = "lora", weights = "{folder}", rank = {RANK}, alpha = {ALPHA}, targets = {targets} }}]'


class Adapted(Composition):
    IMAGE, AUDIO, CONNECTOR = ["q_proj", "out_proj", "fc2"], ["v_proj", "fc1"], ["layers.1"]

    def __init__(self, bench):
        super().__init__(bench, everything=False)
        f = self.folder
        (f / "tower").mkdir()
        tiny.clip(f / "tower")
        self.images.save_pretrained(f / "tower")
        self.dinov2 = with_random_lora(CLIPVisionModel.from_pretrained(f / "tower"), dict(target_modules=self.IMAGE), RANK, ALPHA, seed=61)
        self.whisper = with_random_lora(self.whisper, dict(target_modules=self.AUDIO), RANK, ALPHA, seed=62)
        self.dinov2.save_pretrained(f / "tower_adapter")
        self.whisper.save_pretrained(f / "audio_adapter")
        generator = torch.Generator().manual_seed(63)
        self.factors = {f"layers.1.lora_{name}.weight": 0.1 * torch.randn(shape, generator=generator) for name, shape in [("A", (RANK, 40)), ("B", (48, RANK))]}
        (f / "connector_adapter").mkdir()
        save_file({f"base_model.model.{name}": factor for name, factor in self.factors.items()}, f / "connector_adapter" / "adapter_model.safetensors")
        (f / "connector_adapter" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": self.CONNECTOR}))
        for factor in self.factors.values():
            factor.requires_grad_(True)

    def table(self):
        f = self.folder
        return super().table().split("[streams.image]")[0] + f"""
[streams.image]
encoder = {{ plugin = "clip", weights = "{f}/tower", layer = -1, peft = {lora_table(f / "tower_adapter", self.IMAGE)} }}
connector = {{ plugin = "mlp", weights = "{f}/image.safetensors", hidden_size = 40, pool = {POOL}, peft = {lora_table(f / "connector_adapter", self.CONNECTOR)} }}
[streams.audio]
encoder = {{ plugin = "whisper", weights = "{f}/audio", peft = {lora_table(f / "audio_adapter", self.AUDIO)} }}
connector = {{ plugin = "frame_stack", weights = "{f}/audio.safetensors", factor = {FACTOR} }}
"""

    def features(self, pixels):
        return self.dinov2(pixels).last_hidden_state[:, 1:]

    def connector(self, name):
        parameters = super().connector(name)
        if name == "image":
            a, b = self.factors.values()
            parameters["layers.1.weight"] = parameters["layers.1.weight"] + b @ a * (ALPHA / RANK)
        return parameters

    def gradients(self):
        out = super().gradients()
        of = lambda model: {plain(name): p.grad for name, p in model.named_parameters() if p.grad is not None}
        out |= {f"streams.image.encoder.peft.0:{name}": grad for name, grad in of(self.dinov2).items()}
        out |= {f"streams.audio.encoder.peft.0:model.encoder.{name}": grad for name, grad in of(self.whisper).items()}
        return out | {f"streams.image.connector.peft.0:{name}": factor.grad for name, factor in self.factors.items() if factor.grad is not None}

    def zero_grad(self):
        super().zero_grad()
        for factor in self.factors.values():
            factor.grad = None


def back_in_peft(bench, reference):
    """What is written of the CLIP tower's adapter, read by peft."""
    written = bench.new_folder()
    ask(bench, reference, [SAMPLES[2]], save_adapter=written, save_adapter_of="streams.image.encoder")
    again = PeftModel.from_pretrained(CLIPVisionModel.from_pretrained(reference.folder / "tower"), written).eval()
    theirs = {plain(name): p for name, p in reference.dinov2.named_parameters() if "lora_" in name}
    bench.compare("lora on an encoder: our adapter in peft", {plain(name): p for name, p in again.named_parameters() if "lora_" in name}, theirs)


def run(bench):
    reference = Adapted(bench)
    compare(bench, "lora on encoders and a connector", reference, SAMPLES)
    compare(bench, "lora on encoders and a connector, 3 media", reference, [SAMPLES[2]])
    back_in_peft(bench, reference)
    table = reference.table().replace(f'rank = {RANK}, alpha = {ALPHA}, targets = {Adapted.IMAGE}', f'rank = {RANK}, alpha = {ALPHA}, targets = ["q_prj"]')
    bench.refused("lora on an encoder refuses a target that matches no site", "streams.image.encoder.peft.0", "model", model=table, samples=[], folder=reference.folder)
