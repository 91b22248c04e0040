"""Sound inside videos, as Qwen2.5-Omni's thinker takes it (use_audio_in_video): tokens as its processor lays them out, positions as
get_rope_index gives them, hidden states, logits, every gradient and greedy answers, against transformers."""
import random

import numpy as np
import torch
from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration
from transformers.models.qwen2_5_omni.processing_qwen2_5_omni import Qwen2_5OmniProcessor

from .conversations import audio, image, named, text, turns, video
from .omni import EARS, Omni, OmniTied
from .processors import picture, speech, write_wav
from .whole_checks import ask, compare, greedy, in_pieces, one_changed, read_again
from .whole_grids import write_video

SAMPLES = [
    turns(("user", [video("u.mov"), text("What is this?")]), ("assistant", "A fire engine."), ("user", [text("And this: "), audio("a.wav")]), ("assistant", "Le camion rouge.")),
    turns(("user", "No media here, and <|VIDEO|> or <|AUDIO|> is only a word."), ("assistant", "Yes, it is text.")),
    turns(("system", "Answer in one word."), ("user", [image("a.png"), text(" match "), video("v.mov"), text("?")]), ("assistant", "Both.")),
    turns(("user", [video("w.mov")]), ("assistant", "une voix")),
    turns(("user", [video("v.mov"), text("What is this?")]), ("assistant", "A fire engine.")),
    turns(("user", [text("First "), image("a.png"), text(" then "), video("w.mov"), audio("short.wav"), text(" and "), video("v.mov"), image("b.png")]), ("assistant", "Both."), ("user", "Are you sure?"), ("assistant", "Yes!"))]


class Among:
    """The bench, by which videos have their sound among their frames."""

    def __init__(self, bench):
        self.bench = bench

    def __getattr__(self, name):
        return getattr(self.bench, name)

    def ask(self, kind, **request):
        return self.bench.ask(kind, interleave=True, **request)


def processor():
    one = object.__new__(Qwen2_5OmniProcessor)
    one.audio_bos_token, one.audio_eos_token, one.audio_token, one.video_token = "<|audio_bos|>", "<|audio_eos|>", "<|AUDIO|>", "<|VIDEO|>"
    one.video_processor = type("Merging", (), {"merge_size": 2})
    return one


def written(grid, seconds, heard, per_second, chunk):
    """What the processor writes in place of a video of this grid, `seconds` apart, with so many vectors of sound."""
    return processor().replace_video_with_audio_token({"video_grid_thw": [grid], "video_second_per_grid": [seconds]}, 0, {"num_audio_tokens": [heard]}, 0, position_id_per_seconds=per_second, seconds_per_chunk=chunk)


class Heard:
    """Videos with sounds that are shorter and longer than they are; chunks that neither fills."""
    samples = SAMPLES
    lengths = {"u.mov": 2.317, "v.mov": 1.2, "w.mov": 4.9}

    def __init__(self, bench):
        super().__init__(bench)
        self.name += ", sound in videos"
        self.videos["u.mov"] = (np.stack([picture(16, 48, seed=40 + i) for i in range(15)]), 3.0)
        for i, (name, seconds) in enumerate(self.lengths.items()):
            sound = self.folder / f"{name}.wav"
            write_wav(sound, speech(seconds, 50 + i))
            write_video(self.folder / name, *self.videos[name], sound)

    def prepare(self, sample, answer=False):
        messages, media = self.guarded(sample, answer)
        heard = [one for part in media for one in ([part, audio(f"{part['video']}.wav")] if part["type"] == "video" else [part])]
        inputs, counts = self.encode_media(heard)
        inputs.pop("mm_token_type_ids", None)
        seconds, grids, counts = iter(inputs.get("video_second_per_grid", [])), iter(inputs.get("video_grid_thw", [])), iter(counts)
        ids, mask = self.encode(messages, answer)
        whole, supervised, spans = [], [], []
        for token, on in zip(ids, mask or [0] * len(ids)):
            tokens = [token]
            if token == self.video_id:
                next(counts)
                run = written([int(n) for n in next(grids)], float(next(seconds)), next(counts), self.per_second, self.seconds)
                tokens = self.tokenizer(run, add_special_tokens=False)["input_ids"]
                spans += [["image", len(whole), len(tokens)], ["audio", len(whole), len(tokens)]]
            elif token in (self.media_id, self.audio_id):
                tokens = [token] * next(counts)
                spans.append(["image" if token == self.media_id else "audio", len(whole), len(tokens)])
            whole += tokens
            supervised += [on] * len(tokens)
        whole = torch.tensor(whole)
        media_ids = torch.tensor([self.media_id, self.video_id, self.audio_id])
        ids = torch.where(torch.isin(whole, media_ids), 0, whole)
        return ids, torch.tensor(supervised).bool(), spans, {"input_ids": whole[None], "attention_mask": torch.ones_like(whole)[None], "use_audio_in_video": True, **inputs}

    def positions(self, inputs):
        sounds = inputs["feature_attention_mask"].sum(-1) if "feature_attention_mask" in inputs else None
        return self.model.get_rope_index(inputs["input_ids"], inputs.get("image_grid_thw"), inputs.get("video_grid_thw"), inputs["attention_mask"], True, sounds, inputs.get("video_second_per_grid"))[0][:, 0]


class HeardOmni(Heard, Omni):
    pass


class HeardTied(Heard, OmniTied):
    """Ten positions a second, in chunks of one."""
    seconds = 1


def runs_of(text):
    """How many of <|VIDEO|> and of <|AUDIO|> follow each other by turns, without turns of none."""
    runs = []
    for token in text.removeprefix("<|audio_bos|>").removesuffix("<|audio_eos|>").split("|>")[:-1]:
        if runs and runs[-1][0] == token:
            runs[-1][1] += 1
        else:
            runs.append([token, 1])
    return [[token.removeprefix("<|"), count] for token, count in runs]


def positions(bench, per_second, chunk):
    """Samples of text, pictures, sounds and videos with their sound in any order equal the processor's tokens and get_rope_index."""
    small = dict(vocab_size=96, hidden_size=24, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]})
    options = "\n".join(f"{key} = {value}" for key, value in dict(vocab_size=96, hidden_size=24, intermediate_size=8, num_layers=1, num_heads=2, num_kv_heads=1, mrope_section=[2, 2, 2]).items())
    marks = dict(audio_token_index=3, image_token_index=4, video_token_index=5, audio_start_token_id=6, audio_end_token_id=7, vision_start_token_id=8, vision_end_token_id=9)
    tokens_of = {"AUDIO": 3, "VIDEO": 5}
    with torch.device("meta"):
        model = Qwen2_5OmniThinkerForConditionalGeneration(Qwen2_5OmniThinkerConfig(text_config=small, vision_config=dict(depth=1, num_heads=1, hidden_size=8, spatial_merge_size=2), audio_config=dict(EARS, encoder_layers=1),
                                                                                    position_id_per_seconds=per_second, seconds_per_chunk=chunk, **marks))
    generator = random.Random(13)
    layouts, expected, runs = [], [], []
    for _ in range(1000):
        ids, media, pictures, clips, seconds, sounds = [1] * generator.randint(1, 4), [], [], [], [], []
        for kind in generator.choices(["image", "video", "audio"], weights=[1, 3, 1], k=generator.randint(0, 5)):
            rows, columns, parts, frames = generator.randint(1, 5), generator.randint(1, 5), generator.randint(1, 9), generator.randint(3, 900)
            heard = ((frames - 1) // 2 + 1 - 2) // 2 + 1
            if kind == "audio":
                sounds.append(frames)
                ids += [6] + [3] * heard + [7]
                media.append({"begin": len(ids) - 1 - heard, "parts": [[1, heard]], "step": 0.0})
            elif kind == "image":
                pictures.append([1, 2 * rows, 2 * columns])
                ids += [8] + [4] * rows * columns + [9]
                media.append({"begin": len(ids) - 1 - rows * columns, "parts": [[rows, columns]]})
            else:
                time = generator.choice([0.4, 0.5, 0.7, 1.0, 1.25, 1.5, 2.0, 7.0])  # the last lies beyond more than one chunk
                clips.append([parts, 2 * rows, 2 * columns]), seconds.append(time), sounds.append(frames)
                run = runs_of(written(clips[-1], time, heard, per_second, chunk))
                runs.append(run)
                ids += [8]
                media.append({"begin": len(ids), "parts": [[rows, columns]] * parts, "step": time, "rate": per_second, "sound": heard, "chunk": int(per_second * chunk)})
                ids += [6] + [tokens_of[kind] for kind, count in run for _ in range(count)] + [7, 9]
            ids += [1] * generator.randint(0, 6)
        layouts.append({"tokens": len(ids), "media": media})
        row = torch.tensor([ids])
        theirs = model.get_rope_index(row, torch.tensor(pictures) if pictures else None, torch.tensor(clips) if clips else None, torch.ones_like(row), True, torch.tensor(sounds) if sounds else None, torch.tensor(seconds) if seconds else None)
        expected.append(theirs[0][:, 0])
    answer, got = bench.ask("positions", plugin="qwen2_vl_text", options=options + "\n", layouts=layouts)
    wrong = [i for i, one in enumerate(expected) if not torch.equal(got[str(i)], one)]
    case = f"qwen2_vl_text positions, sound in videos, {per_second} a second in chunks of {chunk} s"
    bench.check(f"{case}: 1000 samples equal get_rope_index", not wrong, f"{len(wrong)} differ, {wrong[:3]}")
    ours = [join(("VIDEO" if i % 2 == 0 else "AUDIO", count) for i, count in enumerate(one)) for one in answer["runs"]]
    bench.check(f"{case}: {len(runs)} videos as the processor lays them out", ours == runs and len(runs) > 1000, [pair for pair in zip(ours, runs) if pair[0] != pair[1]][:1])


def join(runs):
    """Without turns of none, which part those of one kind."""
    out = []
    for kind, count in runs:
        if count and out and out[-1][0] == kind:
            out[-1][1] += count
        elif count:
            out.append([kind, count])
    return out


def run(bench):
    for per_second, chunk in ((25, 2), (10, 1), (25, 3)):
        positions(bench, per_second, chunk)
    within = Among(bench)
    for kind in (HeardOmni, HeardTied):
        reference = kind(bench)
        samples = reference.samples
        batch = compare(within, f"{reference.name}, mixed batch", reference, samples)
        for what, index in (("0 media", 1), ("longer sound", 3), ("shorter sound", 4), ("all kinds", 5)):
            compare(within, f"{reference.name}, {what}", reference, [samples[index]])
        alone = [ask(within, reference, [sample])[1] for sample in samples]
        bench.compare(f"{reference.name}: one by one equals the batch", {"hidden": torch.cat([out["hidden"] for out in alone])}, {"hidden": batch["hidden"]})
        one_changed(within, reference, batch, [len(out["ids"]) for out in alone])
        greedy(within, reference, samples)
        read_again(within, reference)
        in_pieces(within, reference)
        if kind is HeardOmni:
            marks(bench, reference)


def marks(bench, reference):
    """The tokens around such a video are the stream's."""
    asked = dict(model=reference.table(trainable=False, more='streams.image.sound_begin = ""\n'), samples=named(reference.samples[3:4]), folder=reference.folder, interleave=True)
    bench.refused("a video with its sound wants tokens around both", "sound_begin", "model", **asked)
    asked["model"] = reference.table(trainable=False, more='streams.image.sound_end = "eos"\n')
    bench.refused("which the tokenizer has", "sound_end = 'eos'", "model", **asked)
    asked["model"] = reference.table(trainable=False, more='streams.image.encoder.seconds_per_chunk = 0\n')
    got = bench.ask("model", **asked)[0]["media"]
    bench.check("seconds_per_chunk = 0: the sound stands after the video", [stream for stream, _, _ in got] == ["image", "audio"] and got[0][1] + got[0][2] < got[1][1], got)
