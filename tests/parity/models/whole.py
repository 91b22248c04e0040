"""Whole models out of their directories against transformers, family by family."""
import torch

from .conversations import named
from .whole_checks import adapted, ask, compare, experts_of_parts, export, greedy, in_pieces, layout, old_form, one_changed, read_again, vera_of_parts
from .whole_grids import Qwen25Vl, Qwen25VlTied, Qwen2Vl, Qwen3Vl, Qwen3VlTied, QwenPictures
from .whole_models import Llava, LlavaClassToken, LlavaExperts, LlavaNext, LlavaSiglip, LlavaVicuna, Qwen2Audio
from .whole_rows import Gemma3Pictures, Gemma3Untied, Ministral3Pictures, Mistral3Pictures, Mistral3Window, Pixtral
from .whole_sizes import more_sizes, sizes, text_sizes


def vicuna(bench):
    reference = LlavaVicuna(bench)
    samples = [sample for sample in reference.samples if "<image>" not in str(sample)]
    _, out = ask(bench, reference, samples)
    expected = torch.cat([reference.processed(sample, False)[0] for sample in samples])
    bench.check(f"{reference.name}: ids of whole conversations", torch.equal(out["ids"], expected), f"{len(expected)} tokens")
    greedy(bench, reference, samples)


def run(bench):
    sizes(bench)
    text_sizes(bench)
    more_sizes(bench)
    vicuna(bench)
    experts_of_parts(bench, LlavaExperts(bench))
    for kind in (Llava, LlavaClassToken, LlavaSiglip, LlavaNext, Qwen2Audio, Gemma3Pictures, Gemma3Untied, Mistral3Pictures, Mistral3Window, Ministral3Pictures, Pixtral):
        reference = family(bench, kind)
        if isinstance(reference, Gemma3Pictures):
            layout(bench, reference)
        if kind in (Llava, LlavaSiglip, Qwen2Audio, Gemma3Pictures, Mistral3Pictures, Pixtral):
            adapted(bench, reference)
        if kind is LlavaClassToken:  # peft adapts all of the tower's blocks, and it reads them
            vera_of_parts(bench, reference)


def grids(bench):
    for kind in (Qwen2Vl, Qwen25Vl, Qwen25VlTied, Qwen3Vl, Qwen3VlTied):
        reference = family(bench, kind)
        for what, index in (("a video", 4), ("pictures and videos", 5)):
            compare(bench, f"{reference.name}, {what}", reference, [reference.samples[index]])
        if kind in (Qwen2Vl, Qwen25Vl, Qwen3Vl):
            adapted(bench, reference)


def family(bench, kind):
    reference = kind(bench)
    samples = reference.samples
    batch = compare(bench, f"{reference.name}, mixed batch", reference, samples)
    for count, index in ((0, 1), (1, 3), (3, 2)):
        compare(bench, f"{reference.name}, {count} media", reference, [samples[index]])
    alone = [ask(bench, reference, [sample])[1] for sample in samples]
    bench.compare(f"{reference.name}: one by one equals the batch", {"hidden": torch.cat([out["hidden"] for out in alone])}, {"hidden": batch["hidden"]})
    one_changed(bench, reference, batch, [len(out["ids"]) for out in alone])
    in_pieces(bench, reference)
    read_again(bench, reference, (0, 5) if len(samples) > 5 else (0,))
    greedy(bench, reference, samples)
    beams = dict(num_beams=3, length_penalty=0.5, repetition_penalty=1.0)
    # generate() repeats each sound by itself, which mixes up several, and fails for media of a Qwen3-VL without taps.
    few = [samples[1], samples[3]] if issubclass(kind, Qwen2Audio) else [samples[1]] if kind is Qwen3VlTied else samples[:4]
    got, _ = bench.ask("generate", model=reference.table(trainable=False), samples=named(few), folder=reference.folder, max_tokens=32, **beams)
    bench.check(f"{reference.name}: 32 tokens of 3 beams for each conversation", got["tokens"] == reference.answers(few, **beams))
    export(bench, reference)
    if isinstance(reference, QwenPictures):
        old_form(bench, reference, batch)
    return reference
