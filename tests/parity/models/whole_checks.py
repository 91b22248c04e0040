"""What each family of whole models is held to: ids and places, hidden states, logits, loss, every gradient, pieces, exports, adapters, greedy answers."""
import copy
import json

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file

from .common import isolated, relative, starting
from .conversations import named, text
from .encoder_adapters import ALPHA, RANK, lora_table
from .lora import plain, with_random_lora
from .vera import in_vera
from .whole_grids import Qwen3Vl, QwenPictures
from .whole_models import EXACT, NEAR, on_disk


def ask(bench, reference, samples, **more):
    return bench.ask("model", model=reference.table(), samples=named(samples), folder=reference.folder, **more)


def compare(bench, case, reference, samples):
    reference.model.zero_grad()
    theirs, media, lengths = reference.run(samples)
    theirs["loss"].backward()
    answer, out = ask(bench, reference, samples)
    bench.check(f"{case}: ids, places and labels", all(torch.equal(out[name], theirs[name]) for name in EXACT) and answer["media"] == media and answer["lengths"] == lengths,
                f"{len(theirs['ids'])} tokens, {len(media)} media")
    bench.compare(f"{case}: hidden, logits, loss", {name: out[name] for name in NEAR}, {name: theirs[name] for name in NEAR})
    gradients = {on_disk(name, reference.names): p.grad for name, p in reference.model.named_parameters() if p.grad is not None}
    ours = {name.split(":", 1)[1]: grad for name, grad in starting(out, "grad:").items()}
    ours = {name: grad for name, grad in ours.items() if name in gradients or grad.abs().max() > 0}
    scales = {name: name[:-4] + "weight" for name in gradients if name.endswith("k_proj.bias")}
    bench.compare(f"{case}: gradients", ours, gradients, scales=scales, gradients=gradients)
    return out


LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora_on(reference, model, folder, of_text):
    """LoRA of peft, no factor of which is zero, on parts of a model, which has it from then on: (each by its slot, our table of them)"""
    text, tower = reference.parts(model)
    of_tower = reference.sites if reference.read_blocks is None else rf"(.*\.)?[{reference.read_blocks}]\..*({'|'.join(reference.sites)})"
    adapters, table = {}, ""
    for slot, part, ours, theirs, seed in [("llm", text, of_text, of_text, 81), (f"streams.{reference.stream}.encoder", tower, reference.sites, of_tower, 82)]:
        adapters[slot] = with_random_lora(part, dict(target_modules=theirs), RANK, ALPHA, seed=seed)
        adapters[slot].save_pretrained(folder / slot)
        reference.rename(folder / slot / "adapter_model.safetensors")
        table += f"{slot}.peft = {lora_table(folder / slot, ours)}\n"
    return adapters, table


def exports(reference, forward):
    """(case, more of our table, logits) of what is written: the model itself, and with adapters on it that change much. `forward`: logits of a model."""
    changed = copy.deepcopy(reference.model).eval()
    _, table = lora_on(reference, changed, reference.new_folder(), LINEAR)
    with torch.no_grad():
        plain, folded = forward(reference.model), forward(changed)
    assert relative(folded, plain) > 1e-2
    return [("", "", plain), (", LoRA folded in", table, folded)]


def export(bench, reference):
    """transformers loads what ours writes, with no key missing or left, and computes the same; adapters are folded in."""
    sample = [reference.samples[-1 if isinstance(reference, QwenPictures) else 2]]
    inputs = reference.prepare(sample[0])[3]
    for case, more, expected in exports(reference, lambda model: model(**inputs).logits[0]):
        target = bench.new_folder()
        _, out = bench.ask("model", model=reference.table(trainable=False, more=more), samples=named(sample), folder=reference.folder, merge=bool(more), export=target)
        model, info = reference.architecture.from_pretrained(target, output_loading_info=True)
        wrong = {name: keys for name, keys in info.items() if keys}
        with torch.no_grad():
            logits = model.eval()(**inputs).logits[0]
        bench.check(f"{reference.name} export{case}: no key missing or left", not wrong, wrong or "")
        bench.compare(f"{reference.name} export{case}: logits", {"ours": out["logits"], "read by transformers": logits}, {"ours": expected, "read by transformers": expected})


def old_form(bench, reference, batch):
    """config.json as it was up to transformers 4.51: the language model's keys beside those of the whole, the tower's without a type."""
    path = reference.folder / "config.json"
    written = path.read_text()
    new = json.loads(written)
    text, tower = new["text_config"], new["vision_config"]
    rope = text.pop("rope_parameters")
    tower.pop("model_type"), tower.pop("rope_parameters")
    if isinstance(reference, Qwen3Vl):  # as it was published: the tower's table has the whole's type
        old = {**new, "text_config": {**text, "rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}, "vision_config": {**tower, "model_type": "qwen3_vl"}}
    else:
        old = {**text, "rope_theta": rope.pop("rope_theta"), "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]}, **{k: v for k, v in new.items() if k != "text_config"},
           "vision_config": {**tower, "in_chans": tower.pop("in_channels"), "spatial_patch_size": 4}}
    path.write_text(json.dumps(old))
    _, out = ask(bench, reference, reference.samples)
    bench.compare(f"{reference.name}: config.json of transformers 4.51", {"hidden": out["hidden"]}, {"hidden": batch["hidden"]})
    path.write_text(written)


def in_pieces(bench, reference):
    """Conversations with their media through the cache, so many tokens of each at a time: hidden states as of all at once."""
    asked = dict(model=reference.table(trainable=False), samples=named(reference.samples), folder=reference.folder, whole_parts=reference.whole_parts)
    hidden = bench.ask("model", **asked)[1]["hidden"]
    for piece in (1, 7, 64):
        bench.compare(f"{reference.name}: cache in pieces of {piece}", bench.ask("in_pieces", piece=piece, **asked)[1], {"hidden": hidden})


OTHERS = {"a.png": "b.png", "b.png": "a.png", "v.mov": "w.mov", "w.mov": "v.mov", "a.wav": "long.wav", "long.wav": "short.wav", "short.wav": "a.wav"}


def another(sample, folder):
    """Its texts read backwards, and other media."""
    def changed(part):
        if part["type"] == "text":
            return text(part["text"][::-1])
        other = OTHERS[part[part["type"]]]
        return {**part, part["type"]: other} if (folder / other).exists() else part
    content = lambda one: one[::-1] if isinstance(one, str) else [changed(part) for part in one]
    return {"messages": [{**message, "content": content(message["content"])} for message in sample["messages"]]}


def one_changed(bench, reference, batch, lengths):
    """Other media and texts in one conversation of a packed batch; and another with videos in its place."""
    for changed, source in ((2, 2), (4, 5)):
        if source >= len(reference.samples):
            continue
        samples = list(reference.samples)
        samples[changed] = another(samples[source], reference.folder)
        answer, after = ask(bench, reference, samples)
        isolated(bench, f"{reference.name}, {changed}", (batch, lengths), (after, answer["lengths"]), changed)


def read_again(bench, reference, samples=(0, 5)):
    """Conversations that grow over one cache, media included: each turn is computed once, and answers are those of all of it at once."""
    turns_of = lambda n: [{"messages": reference.samples[i]["messages"][:n] + [{"role": "assistant", "content": "x"}]} for i in samples]
    for i in range(len(samples)):
        grown = [turns_of(1)[i], turns_of(3)[i]]
        got, _ = bench.ask("read_again", model=reference.table(trainable=False), samples=named(grown), folder=reference.folder, max_tokens=16)
        whole, _ = bench.ask("generate", model=reference.table(trainable=False), samples=named(grown), folder=reference.folder, max_tokens=16)
        bench.check(f"{reference.name}: a conversation read turn by turn, {i}", got["tokens"] == whole["tokens"] and got["computed"][1] < got["lengths"][1] - got["lengths"][0] + 8, f"{got['computed']} of {got['lengths']} tokens computed")


def peft_export(bench, reference):
    """LoRA and a connector that were trained here, as one adapter on the model that transformers has: it computes what was trained."""
    case, sample, target = f"{reference.name}: adapter for PEFT", [reference.samples[2]], bench.new_folder()
    _, tables = lora_on(reference, copy.deepcopy(reference.model), bench.new_folder(), LINEAR)
    asked = dict(model=reference.table(trainable=False, more=tables), samples=named(sample), folder=reference.folder)
    _, before = bench.ask("model", **asked)
    _, out = bench.ask("model", **asked, steps=2, train='optimizer = { name = "sgd", lr = 0.02 }\n', export_adapter=target)
    model = PeftModel.from_pretrained(reference.architecture.from_pretrained(reference.folder), target).eval()
    kept, written = get_peft_model_state_dict(model), load_file(target / "adapter_model.safetensors")
    same = kept.keys() == written.keys() and all(torch.equal(kept[name], value) for name, value in written.items())
    bench.check(f"{case}: PEFT has each tensor of the file, and no other", same, sorted(kept.keys() ^ written.keys())[:4] or f"{len(written)} tensors")
    connectors = [name for name in written if ".lora_" not in name]
    bench.check(f"{case}: LoRA on both parts, the connector, and training changed what comes out", connectors and relative(out["logits"], before["logits"]) > 1e-3, f"{len(connectors)} of the connector")
    with torch.no_grad():
        bench.compare(f"{case}: logits", {"logits": out["logits"]}, {"logits": model(**reference.prepare(sample[0])[3]).logits[0]})
    _, back = bench.ask("model", model=f'from = "{target}"\n', samples=named(sample), folder=reference.folder)
    bench.compare(f"{case}: read back into all slots: logits", {"logits": back["logits"]}, {"logits": out["logits"]})


def vera_of_parts(bench, reference):
    """PEFT's on the text model and the tower: the largest inputs and outputs, of which the shared matrices are, are not of one part."""
    of_parts(bench, reference, "vera", in_vera(reference.folder, reference.architecture, target_modules=["q_proj", "fc1", "down_proj"]))


def experts_of_parts(bench, reference):
    """LoRA on all experts of a layer as one tensor (target_parameters), and on layers of the text model and of the tower; a tensor by its end, and one by its whole name."""
    changed = dict(target_modules=["q_proj"], target_parameters=["experts.gate_up_proj", "model.language_model.layers.1.mlp.experts.down_proj"])
    of_parts(bench, reference, "lora on experts", with_random_lora(reference.architecture.from_pretrained(reference.folder), changed, RANK, ALPHA, seed=83))


def of_parts(bench, reference, method, model):
    """One folder of PEFT's for a whole model, each of whose slots takes its own."""
    case, sample, target = f"{method} on {reference.name}", [reference.samples[2]], bench.new_folder()
    model.save_pretrained(target)
    with torch.no_grad():
        changed, before = (of(**reference.prepare(sample[0])[3]).logits[0] for of in (model, reference.model))
    bench.check(f"{case}: it changes something", relative(changed, before) > 1e-3)
    _, out = bench.ask("model", model=f'from = "{target}"\n', samples=named(sample), folder=reference.folder)
    bench.compare(f"{case}: logits", {"logits": out["logits"]}, {"logits": changed})


def adapted(bench, reference):
    """LoRA of peft on the text model and on the tower; changes the reference."""
    samples = reference.samples
    if isinstance(getattr(reference, "architecture", None), type):  # transformers has the model
        peft_export(bench, reference)
    adapters, tables = lora_on(reference, reference.model, reference.folder, LINEAR)
    reference.model.zero_grad()
    theirs = reference.run(samples)[0]
    theirs["loss"].backward()
    _, out = bench.ask("model", model=reference.table(trainable=False, more=tables), samples=named(samples), folder=reference.folder)
    bench.compare(f"lora on {reference.name}: hidden, logits, loss", {name: out[name] for name in NEAR}, {name: theirs[name] for name in NEAR})
    gradients = {f"{slot}.peft.0:{'model.' if slot == 'llm' else reference.tower_prefix}{plain(name)}": p.grad for slot, model in adapters.items() for name, p in model.named_parameters() if "lora_" in name}
    ours = {name: grad for name, grad in starting(out, "grad:").items() if ".peft." in name}
    bench.compare(f"lora on {reference.name}: gradients", ours, gradients, gradients=gradients)
    still = sorted(name for name, grad in ours.items() if not grad.any())
    bench.check(f"lora on {reference.name}: each of {len(ours)} matrices has a gradient", not still, still[:3] or "")


def greedy(bench, reference, samples):
    got = bench.ask("generate", model=reference.table(trainable=False), samples=named(samples), folder=reference.folder, max_tokens=32)[0]["tokens"]
    bench.check(f"{reference.name}: 32 greedy tokens for each conversation", got == reference.greedy(samples, got) and {len(answer) for answer in got} == {32})


def layout(bench, reference):
    """Ids of conversations with 0 to 3 pictures, as the family's own processor makes them."""
    samples = [sample for sample in reference.samples if "<image>" not in str(sample)]
    _, out = ask(bench, reference, samples)
    expected = torch.cat([reference.processed(sample) for sample in samples])
    bench.check(f"{reference.name}: ids as its processor makes them", torch.equal(out["ids"], expected), f"{len(expected)} tokens")
