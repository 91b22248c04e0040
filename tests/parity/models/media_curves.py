"""The loss of each step of training through an encoder and a connector, as in curves.py: LLaVA over pictures and Qwen2-Audio over sounds, both of
noise, against transformers and peft. The connector alone, beside adapters, and everything."""
import numpy as np
from PIL import Image

from .conversations import audio, image, named, text, turns
from .curves import compared, learnt
from .encoder_adapters import ALPHA, RANK, lora_table
from .lora import with_random_lora
from .lora_forms import LR
from .processors import write_wav
from .whole_checks import LINEAR, lora_on
from .whole_models import Llava, Qwen2Audio


def pictures(folder):
    noise = np.random.default_rng(91)
    for i, (height, width) in enumerate([(28, 28), (40, 55), (90, 31), (33, 28)]):
        Image.fromarray(noise.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"noise_{i}.png")
    return [image(f"noise_{i}.png") for i in range(4)]


def sounds(folder):
    noise = np.random.default_rng(92)
    for i, seconds in enumerate([0.731, 1.3, 2.0, 0.4]):
        write_wav(folder / f"noise_{i}.wav", noise.normal(0, 3000, int(seconds * 16000)).clip(-32768, 32767))
    return [audio(f"noise_{i}.wav") for i in range(4)]


def batches_of(a, b, c, d):
    """Of one to three conversations, with none to two media in each."""
    asked = lambda answer, *content: turns(("user", list(content)), ("assistant", answer))
    return [named(batch) for batch in [
        [asked("A fire engine.", a, text("What is this?")), asked("Both are a cat.", b, text(" or "), c)],
        [asked("Le camion rouge.", text("Say it in English: "), d)],
        [asked("Yes, it is text.", text("Is this text?")), asked("No.", c, text("A cat?")), asked("One word.", d)],
        [asked("They match, and both are a fire engine.", b, text(" match "), a, text("?"))],
        [asked("Look, then answer.", c, text("And this?")), asked("It is red.", a)]]]


def connector_alone(reference):
    return reference.table(trainable=False)


def lora_beside_it(reference):
    """On the language model."""
    folder = reference.new_folder()
    with_random_lora(reference.parts(reference.model)[0], dict(target_modules=LINEAR), RANK, ALPHA, seed=93).save_pretrained(folder)
    return reference.table(trainable=False, more=f"llm.peft = {lora_table(folder, LINEAR)}\n")


def lora_on_both(reference):
    """On the language model and on the encoder."""
    return reference.table(trainable=False, more=lora_on(reference, reference.model, reference.new_folder(), LINEAR)[1])


def everything(reference):
    reference.model.requires_grad_(True)
    return reference.table()


def run(bench):
    for kind, media in ((Llava, pictures), (Qwen2Audio, sounds)):
        reference = kind(bench)
        batches = batches_of(*media(reference.folder))
        for name, trained, rate in (("its connector", connector_alone, LR), ("its connector, LoRA", lora_beside_it, LR / 4), ("its connector, LoRA on both parts", lora_on_both, LR / 4), ("everything", everything, LR / 4)):
            reference.model = reference.architecture.from_pretrained(reference.folder).eval().requires_grad_(False)
            getattr(reference.model.model, reference.projector).requires_grad_(True)
            mine = trained(reference)
            compared(bench, f"{reference.name}, {name}", lambda batch: reference.run(batch)[0]["loss"], learnt(reference.model), mine, rate, batches=batches, of="samples", folder=reference.folder)
