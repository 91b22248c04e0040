"""What changes which tokens come, against transformers' generate(): penalties, beams, stop strings; log-probabilities. generation_config.json: what of it is taken answers as transformers' generate(), and every key is taken, without effect here, or named."""
import json

import torch
from transformers import GenerationConfig, LlamaForCausalLM, LogitsProcessor, LogitsProcessorList

from . import tiny
from .conversations import make_tokenizer
from .decoders import model_table, rows_of

# Each with some value: no answer of ours is another one for it.
WITHOUT_EFFECT = {
    # the tokenizer has the stop ids; nothing is padded, and no prompt is empty
    "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": 1, "decoder_start_token_id": 1,
    # for more than one beam
    "early_stopping": True, "length_penalty": 2.0, "renormalize_logits": True,
    # ways to the same answer
    "use_mtp": True, "is_assistant": True, "num_assistant_tokens": 5, "num_assistant_tokens_schedule": "heuristic", "assistant_confidence_threshold": 0.5,
    "prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 2, "assistant_early_exit": 1, "assistant_lookbehind": 3, "target_lookbehind": 3,
    "assistant_ensemble_weight": 0.5, "speculation_type": "dflash", "use_cache": False, "cache_config": {"a": 1}, "max_cache_len": 9, "compile_config": {"a": 1},
    "disable_compile": True, "continuous_batching_config": {"a": 1}, "low_memory": True, "prefill_chunk_size": 4,
    # what else is returned
    "output_attentions": True, "output_hidden_states": True, "output_scores": True, "output_logits": True, "return_dict_in_generate": True,
    "transformers_version": "4.0.0", "_from_model_config": True,
}
TAKEN = {"max_new_tokens": 7, "max_length": 50, "min_length": 5, "encoder_no_repeat_ngram_size": 2, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "suppress_tokens": [3], "begin_suppress_tokens": [1], "bad_words_ids": [[1], [4, 5]], "do_sample": True, "temperature": 0.5, "top_k": 3, "top_p": 0.5, "min_p": 0.1,
         "min_new_tokens": 5, "stop_strings": ["x"], "num_beams": 2, "top_h": 0.4, "typical_p": 0.5, "epsilon_cutoff": 3e-4, "eta_cutoff": 3e-4, "encoder_repetition_penalty": 1.2, "sequence_bias": [[[1], 2.0]],
         "forced_bos_token_id": 1, "forced_eos_token_id": 1, "exponential_decay_length_penalty": [5, 1.1], "remove_invalid_values": True}
NAMED = {"max_time": 1.0, "num_beam_groups": 2, "diversity_penalty": 0.5,
         "constraints": [1], "force_words_ids": [[1]], "penalty_alpha": 0.6, "dola_layers": "high", "token_healing": True, "guidance_scale": 1.5,
         "watermarking_config": {"bias": 2.0}, "num_return_sequences": 2, "cache_implementation": "quantized"}


def write(folder, name="generation_config.json", **keys):
    (folder / name).write_text(json.dumps(keys))


def every_key(bench):
    folder = bench.new_folder()
    keys = {key for key in vars(GenerationConfig()) if not key.startswith("_")}
    ours = {**WITHOUT_EFFECT, **TAKEN, **NAMED}
    bench.check("generation_config.json: every key of transformers' GenerationConfig is accounted for", keys <= set(ours), sorted(keys - set(ours)))
    wrong = []
    for key, value in ours.items():
        write(folder, **{**({"do_sample": True} if key in TAKEN and key != "num_beams" else {}), key: value})
        said, _ = bench.ask("generation_config", directory=folder)
        places = [where for where in ("taken", "absent", "unknown") if key in said[where].replace("=", " ").split()]
        expected = ["taken"] if key in TAKEN else ["absent"] if key in NAMED else []
        if places != expected:
            wrong.append((key, places))
    bench.check("generation_config.json: keys are taken, named in a warning, or without effect", not wrong, wrong or "")
    defaults = GenerationConfig._get_default_generation_params()
    del defaults["max_length"]  # one that stands in the file counts, also this
    write(folder, **defaults)
    said, _ = bench.ask("generation_config", directory=folder)
    bench.check("generation_config.json: transformers' own defaults ask for nothing", not (said["taken"] or said["absent"] or said["unknown"]), said)
    write(folder, num_beams=2, do_sample=True)
    said, _ = bench.ask("generation_config", directory=folder)
    bench.check("generation_config.json: beams that are sampled are named, not taken", said["absent"] == "num_beams = 2" and not said["options"]["num_beams"], said)
    write(folder, num_beams=3, early_stopping="never", length_penalty=0.5, stop_strings="x", renormalize_logits=True)
    said, _ = bench.ask("generation_config", directory=folder)
    bench.check("generation_config.json: beams with their options", [said["options"][key] for key in ("num_beams", "early_stopping", "length_penalty", "stop_strings")] == [3, "never", 0.5, ["x"]] and "renormalize_logits = true" in said["taken"], said)
    write(folder, cache_implementation="hybrid")
    bench.check("generation_config.json: a cache that holds the numbers as they are is none of the keys that are named", not bench.ask("generation_config", directory=folder)[0]["absent"])
    write(folder, chat_format="chatml")
    bench.check("generation_config.json: a key that nobody knows is named", "chat_format" in bench.ask("generation_config", directory=folder)[0]["unknown"])


def values(bench):
    """The same values as generate() works with; if nothing is sampled, those of sampling count for nothing."""
    folder = bench.new_folder()
    model = tiny.llama(folder)
    for keys in [{}, dict(repetition_penalty=1.1, do_sample=True), dict(do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05),
                 dict(do_sample=True, top_k=0, min_p=0.05, max_new_tokens=9), dict(temperature=0.3, top_k=4, no_repeat_ngram_size=3), dict(do_sample=False, temperature=0.0)]:
        write(folder, **keys)
        model.generation_config = GenerationConfig.from_pretrained(folder)
        theirs, _ = model._prepare_generation_config(None)
        ours = bench.ask("generation_config", directory=folder)[0]["options"]
        rest = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
        names = ["max_new_tokens", "repetition_penalty", "no_repeat_ngram_size"] + ["temperature", "top_k", "top_p", "min_p"] * bool(theirs.do_sample)
        wrong = {name: (ours[name], getattr(theirs, name)) for name in names if (ours[name] or rest.get(name)) != (getattr(theirs, name) or rest.get(name))}
        if not theirs.do_sample and ours["temperature"]:
            wrong["temperature"] = ours["temperature"]
        bench.check(f"generation_config.json {keys}: the values of generate()", not wrong, wrong or "")


def answers(bench):
    """generate() of a directory and ours, token for token. Sampling of one token is not a matter of luck."""
    prompts = rows_of([9, 2, 23, 4], seed=14)
    folder = bench.new_folder()
    plain = tiny.llama(folder)
    free = [theirs_of(plain, prompt, max_new_tokens=24) for prompt in prompts]
    common = [answer[1] for answer in free]
    for keys in [dict(repetition_penalty=1.4), dict(repetition_penalty=0.6), dict(no_repeat_ngram_size=1), dict(no_repeat_ngram_size=2), dict(suppress_tokens=common),
                 dict(repetition_penalty=2.0, no_repeat_ngram_size=2, suppress_tokens=common[:2]), dict(do_sample=True, temperature=0.7, top_k=1, repetition_penalty=1.2),
                 dict(do_sample=True, top_p=1e-4, no_repeat_ngram_size=3), dict(do_sample=True, temperature=2.0, min_p=1.0, suppress_tokens=common),
                 dict(begin_suppress_tokens=[answer[0] for answer in free]),
                 dict(bad_words_ids=[[common[0]], free[0][3:5], free[1][5:8], [*prompts[2][-2:], free[2][0]], [*prompts[1], free[1][0]], [3] * 40]),
                 dict(encoder_repetition_penalty=1.5), dict(encoder_repetition_penalty=0.4, repetition_penalty=0.8),
                 dict(sequence_bias=[[[common[0]], -9.0], [free[0][3:5], -3.0], [[prompts[1][-1], 5], 4.0], [[prompts[1][-1], 6], 9.0], [[7], 0.5], [[3] * 40, 9.0]]),
                 dict(forced_eos_token_id=5), dict(forced_eos_token_id=[6, 5], repetition_penalty=1.2, remove_invalid_values=True),
                 dict(do_sample=True, typical_p=1e-4), dict(do_sample=True, top_k=0, typical_p=1e-4, temperature=1.7), dict(do_sample=True, top_h=1e-4, suppress_tokens=common),
                 dict(do_sample=True, epsilon_cutoff=0.99, suppress_tokens=common),
                 dict(repetition_penalty=1.3, temperature=0.2, top_k=3)]:
        write(folder, **keys, max_new_tokens=24)
        model = LlamaForCausalLM.from_pretrained(folder)
        expected = [theirs_of(model, prompt) for prompt in prompts]
        ours = bench.ask("generate", model=model_table(folder), ids=prompts, directory=folder)[0]["tokens"]
        bench.check(f"generation_config.json {keys}: 24 tokens of generate()", ours == expected and expected != free)
    ours = bench.ask("generate", model=model_table(folder), ids=prompts, directory=folder, repetition_penalty=1.0, max_tokens=20)[0]["tokens"]
    bench.check("generation_config.json: what [generate] says counts before it", ours == [answer[:20] for answer in free])
    (folder / "generation_config.json").unlink()  # then those of config.json count
    config = json.loads((folder / "config.json").read_text())
    write(folder, "config.json", **config, repetition_penalty=1.4)
    model = LlamaForCausalLM.from_pretrained(folder)
    expected = [theirs_of(model, prompt, max_new_tokens=24) for prompt in prompts]
    ours = bench.ask("generate", model=model_table(folder), ids=prompts, directory=folder, max_tokens=24)[0]["tokens"]
    bench.check("repetition_penalty in config.json: 24 tokens of generate()", ours == expected and expected != free)


def lengths(bench):
    """Of prompt and answer together: the most tokens, and the least before a stop token; greedy, drawn and with beams."""
    prompts = rows_of([9, 2, 23, 4], seed=22)
    folder = bench.new_folder()
    model = tiny.llama(folder)
    free = [theirs_of(model, prompt, max_new_tokens=24) for prompt in prompts]
    changed = 0
    for keys in [dict(max_length=30), dict(max_length=24, forced_eos_token_id=5), dict(max_length=20, max_new_tokens=6), dict(max_length=32, min_length=26), dict(max_length=28, min_length=40),
                 dict(max_new_tokens=12, min_length=20, min_new_tokens=5), dict(max_length=30, min_length=20, min_new_tokens=0), dict(max_length=32, min_length=16, do_sample=True, top_k=1),
                 dict(max_length=31, num_beams=3, early_stopping="never"), dict(max_length=31, min_length=29, num_beams=2)]:
        write(folder, **keys)
        model = LlamaForCausalLM.from_pretrained(folder)
        stop = sorted({answer[3] for answer in free}) if "min_length" in keys else []
        theirs = [without_stop(theirs_of(model, prompt, eos_token_id=stop or None), stop) for prompt in prompts]
        ours = bench.ask("generate", model=model_table(folder), ids=prompts, stop=stop, directory=folder)[0]["tokens"]
        bench.check(f"generation_config.json {keys}: tokens of generate()", ours == theirs, "" if ours == theirs else f"{ours} {theirs}")
        changed += theirs != [without_stop(answer, stop) for answer in free]
    bench.check("lengths of prompt and answer: answers are others than without", changed > 8, changed)
    write(folder, max_length=30, max_new_tokens=24)
    for more, expected in [(dict(max_tokens=5), [answer[:5] for answer in free]), (dict(max_length=26), [answer[:26 - len(prompt)] for prompt, answer in zip(prompts, free)])]:
        ours = bench.ask("generate", model=model_table(folder), ids=prompts, directory=folder, **more)[0]["tokens"]
        bench.check(f"what [generate] says of lengths counts before generation_config.json: {more}", ours == expected)
    write(folder, max_length=23)
    bench.refused("a prompt of max_length tokens is refused, as by generate()", "a prompt of 23 tokens leaves no room", "generate", model=model_table(folder), ids=prompts, directory=folder)


def runs_of_the_prompt(bench):
    """Prompts that have what would come once more: their runs of one, two and three tokens may not; those of the answer may."""
    folder = bench.new_folder()
    model = tiny.llama(folder)
    prompts = [prompt + theirs_of(model, prompt, max_new_tokens=16) for prompt in rows_of([9, 2, 23, 4], seed=23)]
    free = [theirs_of(model, prompt, max_new_tokens=24) for prompt in prompts]
    for size in (1, 2, 3):
        for more in ({}, dict(no_repeat_ngram_size=4), dict(do_sample=True, top_k=1), dict(num_beams=3)):
            write(folder, encoder_no_repeat_ngram_size=size, max_new_tokens=24, **more)
            model = LlamaForCausalLM.from_pretrained(folder)
            theirs = [theirs_of(model, prompt) for prompt in prompts]
            ours = bench.ask("generate", model=model_table(folder), ids=prompts, directory=folder)[0]["tokens"]
            bench.check(f"encoder_no_repeat_ngram_size = {size} {more}: 24 tokens of generate()", ours == theirs and theirs != free, "" if ours == theirs else f"{ours} {theirs}")


def steering(bench):
    """Forced tokens, stop tokens that become likelier, biases, and scores made a distribution again: with stop ids, greedy and with beams."""
    prompts = rows_of([9, 2, 23, 4], seed=19)
    prompts.append(prompts[0][:1])  # which alone has its first token forced
    folder = bench.new_folder()
    model = tiny.llama(folder)
    free = [theirs_of(model, prompt, max_new_tokens=24) for prompt in prompts]
    stop = sorted({free[0][9], free[1][5], free[2][20]})
    plain = [without_stop(theirs_of(model, prompt, max_new_tokens=24, eos_token_id=stop), stop) for prompt in prompts]
    changed = 0
    for keys in [dict(forced_eos_token_id=[5]), dict(forced_eos_token_id=stop[:1]), dict(forced_bos_token_id=7), dict(forced_bos_token_id=7, begin_suppress_tokens=[answer[0] for answer in free] + [answer[1] for answer in free]),
                 dict(exponential_decay_length_penalty=[3, 1.4]), dict(exponential_decay_length_penalty=[0, 1.1], min_new_tokens=12), dict(exponential_decay_length_penalty=[2, 0.5]),
                 dict(exponential_decay_length_penalty=[4, 1.2], suppress_tokens=stop[:1], repetition_penalty=1.2), dict(exponential_decay_length_penalty=[1, 900.0], min_new_tokens=20),
                 dict(sequence_bias=[[[stop[0]], 1.5], [[free[0][0], 9], 30.0], [free[1][:2], -30.0]]), dict(encoder_repetition_penalty=1.4), dict(min_length=18), dict(renormalize_logits=True, suppress_tokens=[5, 9, 11, *free[2][:3]])]:
        overflows = keys.get("exponential_decay_length_penalty", [0, 1])[1] > 100  # to beams of which none is better
        for more in ({},) if overflows else ({}, dict(num_beams=3)):
            theirs = [without_stop(theirs_of(model, prompt, max_new_tokens=24, eos_token_id=stop, **keys, **more), stop) for prompt in prompts]
            ours = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=24, stop=stop, **keys, **more)[0]["tokens"]
            bench.check(f"{keys} {more}: at most 24 tokens of generate()", ours == theirs, "" if ours == theirs else f"{ours} {theirs}")
            changed += not more and theirs != plain
    bench.check("steering: answers are others than without", changed > 10, changed)
    bench.refused("a forced token that is suppressed", "no token may come next", "generate", model=model_table(folder), ids=prompts, forced_eos_token_id=[5], suppress_tokens=[4, 5])


def invalid_values(bench):
    """A head whose logits of one token are never a number, and of another infinite."""
    prompts = rows_of([9, 2, 23, 4], seed=20)
    folder = bench.new_folder()
    model = tiny.llama(folder)
    free = [theirs_of(model, prompt, max_new_tokens=12) for prompt in prompts]
    with torch.no_grad():
        model.lm_head.weight[5] = torch.nan
        model.lm_head.weight[7, 3] = torch.inf
    model.save_pretrained(folder)
    for more in ({}, dict(suppress_tokens=[7])):
        expected = [theirs_of(model, prompt, max_new_tokens=12, remove_invalid_values=True, **more) for prompt in prompts]
        ours = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=12, remove_invalid_values=True, **more)[0]["tokens"]
        bench.check(f"remove_invalid_values {more}: 12 tokens of generate()", ours == expected and (more or expected != free), "" if ours == expected else f"{ours} {expected}")
    ours = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=12, remove_invalid_values=True, num_beams=3)[0]["tokens"]
    bench.check("remove_invalid_values: beams, to which all tokens are then alike, go on", [len(answer) for answer in ours] == [12] * 4)
    bench.refused("logits that are not finite are refused without it", "not finite", "generate", model=model_table(folder), ids=prompts, max_tokens=12)


FILTERS = [dict(top_h=0.1), dict(top_h=0.4), dict(top_h=0.9), dict(typical_p=0.05), dict(typical_p=0.2), dict(typical_p=0.9), dict(epsilon_cutoff=3e-4), dict(epsilon_cutoff=0.02), dict(epsilon_cutoff=0.9),
           dict(eta_cutoff=3e-4), dict(eta_cutoff=0.05), dict(eta_cutoff=0.9), dict(top_k=7), dict(top_p=0.8), dict(min_p=0.05), dict(top_k=40, top_p=0.9, min_p=0.02), dict(top_h=0.7, top_k=9, typical_p=0.6),
           dict(top_k=50, top_p=0.95, typical_p=0.8, epsilon_cutoff=0.01), dict(top_p=0.9, eta_cutoff=0.03, epsilon_cutoff=0.005), dict(temperature=2.5, typical_p=0.7, min_p=0.1), dict(temperature=0.3, top_h=0.6, eta_cutoff=0.02)]


def filters(bench):
    """What sampling may draw, and how likely, of flat and steep logits, some of them masked."""
    model = tiny.llama(bench.new_folder())
    logits = torch.randn(8, 300, generator=torch.Generator().manual_seed(21)) * torch.tensor([0.1, 0.5, 1, 2, 3, 5, 8, 20])[:, None]
    logits[2:4, 20:290] = -torch.inf
    for keys in FILTERS:
        config = GenerationConfig(do_sample=True, **keys)
        config._eos_token_tensor = None
        warpers = model._get_logits_processor(config, input_ids_seq_length=3)
        theirs = warpers(torch.zeros(8, 3, dtype=torch.long), logits).softmax(-1).double()
        _, ours = bench.ask("shares", inputs={"logits": logits}, **{"temperature": 1.0, **keys})
        bench.check(f"sampling {keys}: the tokens that generate() draws from", torch.equal(ours["shares"] > 0, theirs > 0), (ours["shares"] > 0).sum(1).tolist())
        bench.compare(f"sampling {keys}: their shares", {"shares": ours["shares"]}, {"shares": theirs})


BEAMS = [dict(num_beams=2), dict(num_beams=4), dict(num_beams=3, length_penalty=0.0), dict(num_beams=3, length_penalty=2.5), dict(num_beams=3, length_penalty=-1.0),
         dict(num_beams=3, early_stopping=True), dict(num_beams=4, early_stopping="never"), dict(num_beams=4, early_stopping="never", length_penalty=-0.5),
         dict(num_beams=5, early_stopping=True, length_penalty=0.3, min_new_tokens=6), dict(num_beams=3, repetition_penalty=1.7), dict(num_beams=4, no_repeat_ngram_size=2, length_penalty=1.5),
         dict(num_beams=2, suppress_tokens=[5, 9, 11], min_new_tokens=12), dict(num_beams=3, begin_suppress_tokens=[5, 9], bad_words_ids=[[11], [4, 7]]), dict(num_beams=1, min_new_tokens=9)]


def beams(bench):
    """Ids of generate(num_beams=…), over texts that end early, late and never; several prompts at once."""
    prompts = rows_of([9, 2, 37, 4], seed=15)
    folder = bench.new_folder()
    model = tiny.llama(folder)
    free = theirs_of_all(model, prompts, max_new_tokens=32, num_beams=3)
    for name, stop in {"no stop id": [], "one stop id": [free[0][9]], "two stop ids": [free[1][5], free[2][20]], "six stop ids": sorted({answer[k] for answer in free for k in (3, 12)})[:6]}.items():
        lengths = set()
        for keys in BEAMS:
            settings = dict(max_new_tokens=32, eos_token_id=stop or None, **keys)
            alone = "repetition_penalty" in keys or "no_repeat_ngram_size" in keys  # which count the padding of several, too
            answers = [theirs_of(model, prompt, **settings) for prompt in prompts] if alone else theirs_of_all(model, prompts, **settings)
            expected = [without_stop(answer, stop) for answer in answers]
            ours = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=32, stop=stop, **{**keys, "early_stopping": str(keys.get("early_stopping", "")).lower()})[0]["tokens"]
            bench.check(f"beams {keys}, {name}: at most 32 tokens of generate()", ours == expected, "" if ours == expected else f"{ours} {expected}")
            lengths |= {len(answer) for answer in expected}
        bench.check(f"beams, {name}: answers of several lengths, or all of 32", len(lengths) > 3 if stop else lengths == {32}, sorted(lengths))
    bench.refused("beams are not sampled", "beams are not sampled", "generate", model=model_table(folder), ids=prompts, num_beams=2, temperature=1.0)


def without_stop(answer, stop):
    return answer[:next((place for place, token in enumerate(answer) if token in stop), None)]


class Penalties(LogitsProcessor):
    """OpenAI's formula: of tokens that the answer has, by how often, and once."""

    def __init__(self, prompt, presence, frequency):
        self.prompt, self.presence, self.frequency = prompt, presence, frequency

    def __call__(self, ids, scores):
        counts = torch.zeros_like(scores).scatter_add_(1, ids[:, self.prompt:], torch.ones_like(ids[:, self.prompt:], dtype=scores.dtype))
        return scores - self.frequency * counts - self.presence * (counts > 0)


def penalties(bench):
    prompts = rows_of([9, 2, 23, 4], seed=16)
    folder = bench.new_folder()
    model = tiny.llama(folder)
    free = [theirs_of(model, prompt, max_new_tokens=32) for prompt in prompts]
    for presence, frequency, more in [(1.5, 0.0, {}), (0.0, 0.7, {}), (-1.0, 0.4, {}), (0.8, 0.8, dict(repetition_penalty=1.2)), (2.0, 0.0, dict(num_beams=3))]:
        expected = [theirs_of(model, prompt, max_new_tokens=32, logits_processor=LogitsProcessorList([Penalties(len(prompt), presence, frequency)]), **more) for prompt in prompts]
        ours = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=32, presence_penalty=presence, frequency_penalty=frequency, **more)[0]["tokens"]
        bench.check(f"presence {presence}, frequency {frequency} {more}: 32 tokens of OpenAI's formula", ours == expected and expected != free)
    stop = sorted({answer[2] for answer in free})
    for least in (0, 5, 32):
        expected = [without_stop(theirs_of(model, prompt, max_new_tokens=32, eos_token_id=stop, min_new_tokens=least), stop) for prompt in prompts]
        ours = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=32, stop=stop, min_new_tokens=least)[0]["tokens"]
        bench.check(f"min_new_tokens = {least}: tokens of generate()", ours == expected and all(len(answer) >= min(least, 32) for answer in ours))


def logprobs(bench):
    prompts = rows_of([9, 2, 23, 4], seed=17)
    folder = bench.new_folder()
    model = tiny.llama(folder)
    for more in ({}, dict(repetition_penalty=1.4), dict(num_beams=3)):
        answer = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=12, logprobs=4, **more)[0]
        ours, theirs, same = [], [], True
        for prompt, tokens, scores in zip(prompts, answer["tokens"], answer["logprobs"]):
            with torch.no_grad():
                logp = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1:-1].log_softmax(-1)
            top = logp.topk(4)
            same &= [[token for token, _ in one[1]] for one in scores] == top.indices.tolist() and len(scores) == len(tokens)
            ours.append(torch.tensor([[one[0], *(value for _, value in one[1])] for one in scores]))
            theirs.append(torch.cat([logp.gather(1, torch.tensor(tokens)[:, None]), top.values], 1))
        bench.check(f"logprobs {more}: the four likeliest tokens at each place", same)
        bench.compare(f"logprobs {more}: values", {"logp": torch.cat(ours)}, {"logp": torch.cat(theirs)})
    answer = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=12)[0]
    bench.check("logprobs: none unless they are asked for", answer["logprobs"] == [[], [], [], []])


def stop_strings(bench):
    """Texts that end within a token, over several, and at the start of another: the tokens of generate()."""
    folder = bench.new_folder()
    tokenizer = make_tokenizer(folder)
    model = tiny.llama(folder, vocab_size=len(tokenizer))
    prompts = rows_of([9, 2, 23, 4], vocabulary=len(tokenizer) - 2, seed=18)
    free = [theirs_of(model, prompt, max_new_tokens=32) for prompt in prompts]
    texts = [tokenizer.decode(answer[4:9]).strip("\ufffd") for answer in free] + [tokenizer.decode(answer[10]) for answer in free]
    texts = [text for text in texts if text and "\ufffd" not in text]
    cut = 0
    for strings in [[text] for text in texts] + [[text[1:-1]] for text in texts if len(text) > 2] + [texts, ["no such text"]]:
        for more in ({}, dict(num_beams=3), dict(num_beams=2, length_penalty=2.0)):
            expected = [theirs_of(model, prompt, max_new_tokens=32, stop_strings=strings, tokenizer=tokenizer, **more) for prompt in prompts]
            ours = bench.ask("generate", model=model_table(folder), ids=prompts, max_tokens=32, stop_strings=strings, **more)[0]["tokens"]
            bench.check(f"stop {strings} {more}: tokens of generate()", ours == expected, "" if ours == expected else f"{ours} {expected}")
            cut += sum(len(answer) < 32 for answer in expected)
    bench.check("stop strings: answers ended early", cut > 8, cut)


def theirs_of(model, prompt, **settings):
    ids = torch.tensor([prompt])
    return model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **settings)[0, len(prompt):].tolist()


def theirs_of_all(model, prompts, **settings):
    """The same of several prompts at once, which takes as long as one: with padding before the shorter ones, and behind what ends early."""
    padding, longest = 1, max(map(len, prompts))  # a token that no answer ends in
    ids = torch.tensor([[padding] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    answers = model.generate(ids, attention_mask=mask, pad_token_id=padding, **settings)[:, longest:].tolist()
    for answer in answers:
        while answer and answer[-1] == padding:
            answer.pop()
    return answers


def run(bench):
    every_key(bench)
    values(bench)
    answers(bench)
    lengths(bench)
    runs_of_the_prompt(bench)
    penalties(bench)
    steering(bench)
    invalid_values(bench)
    filters(bench)
    logprobs(bench)
    beams(bench)
    stop_strings(bench)
