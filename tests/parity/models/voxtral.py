"""Voxtral's directories against transformers and mistral_common: windows of whole sounds, the joined vectors, ids of
conversations and transcriptions out of tekken.json."""
import base64
import json
import random
import types

import numpy as np
import torch
from mistral_common.protocol.instruct.chunk import AudioChunk, TextChunk
from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.validator import ValidationMode
from mistral_common.protocol.transcription.request import TranscriptionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from transformers import VoxtralConfig, VoxtralForConditionalGeneration, VoxtralProcessor, WhisperFeatureExtractor

import tekken
from .conversations import audio, named, text, turns
from .processors import speech, write_wav
from .whole import family
from .whole_checks import adapted, ask
from .whole_models import NAMES, Qwen2Audio, TEMPLATE, samples_of
from .whole_sizes import counted

FRAMES = 200  # of a window of two seconds
EARS = dict(model_type="voxtral_encoder", hidden_size=48, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4, num_mel_bins=80, max_source_positions=FRAMES // 2)
AROUND = dict(sampling_rate=16000, padding=True, truncation=False, pad_to_multiple_of=160 * FRAMES, return_tensors="pt")


def windows(extractor, sounds):
    """[windows, mels, frames] as VoxtralProcessor makes them, and how many each sound has."""
    each = [VoxtralProcessor._retrieve_input_features(types.SimpleNamespace(feature_extractor=extractor), [sound], FRAMES, **AROUND) for sound in sounds]
    return torch.cat(each), [len(one) for one in each]


class Voxtral(Qwen2Audio):
    """Sounds of one window, and of two."""
    name, architecture, names = "voxtral", VoxtralForConditionalGeneration, NAMES
    token, samples, specials = "[AUDIO]", samples_of(audio("short.wav"), audio("long.wav")), ["[BEGIN_AUDIO]", "[AUDIO]"]
    template = TEMPLATE.replace("Audio: <|audio_bos|><|AUDIO|><|audio_eos|>{{ '\\n' }}", "[BEGIN_AUDIO][AUDIO]")
    ears, text_model = EARS, dict(model_type="llama", head_dim=128)

    def image_processor(self):
        return WhisperFeatureExtractor(feature_size=self.ears["num_mel_bins"], chunk_length=2)

    def make_processor(self):
        return self.image_processor()

    def make_model(self, changes):
        return self.architecture(VoxtralConfig(audio_config=self.ears, text_config={**changes, **self.text_model}, audio_token_id=self.media_id))

    def encode_media(self, media):
        if not media:
            return {}, []
        features, counts = windows(self.processor, [tekken.read_wav(self.folder / part["audio"]) for part in media])
        joined = self.ears["intermediate_size"] // self.ears["hidden_size"]
        return {"input_features": features}, [count * FRAMES // 2 // joined for count in counts]


class VoxtralPairs(Voxtral):
    """Pairs of vectors, one head of keys, 128 bands, another activation between the layers, a head that a key calls tied."""
    name = "voxtral, pairs"
    ears = dict(EARS, intermediate_size=96, num_attention_heads=2, num_mel_bins=128)
    text_model = dict(model_type="llama", head_dim=16, num_key_value_heads=1, tie_word_embeddings=True)

    def make_model(self, changes):
        model = super().make_model(changes)
        return self.architecture(VoxtralConfig(**{**model.config.to_dict(), "projector_hidden_act": "relu"}))


def defaults(bench, reference, batch):
    """Keys of the text model that have VoxtralConfig's default may be left out, and so may the tables' types."""
    path = reference.folder / "config.json"
    written = path.read_text()
    config = json.loads(written)
    for key in ("head_dim", "rms_norm_eps", "rope_parameters", "rope_theta", "model_type"):
        config["text_config"].pop(key, None)
    config["audio_config"].pop("model_type")
    path.write_text(json.dumps(config))
    _, out = ask(bench, reference, reference.samples)
    bench.compare("voxtral: what config.json need not say", {"hidden": out["hidden"]}, {"hidden": batch["hidden"]})
    path.write_text(written)


def features(bench):
    """Windows of one spectrogram: the loudest second sets the floor of all, and frames at edges hear both sides."""
    folder = bench.new_folder()
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=2)
    extractor.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(EARS))
    generator = random.Random(7)
    lengths = [1, 159, 160, 161, 399, 400, 401, 16000, 31999, 32000, 32001, 32160, 63999, 64000, 64001, 160000] + [generator.randrange(1, 160000) for _ in range(44)]
    files, sounds = [], []
    for i, length in enumerate(lengths):
        samples = speech(11, i)[8000:8000 + length]
        samples = (samples * np.where(np.arange(length) < length // 2, 1.0, 0.01 if i % 2 else 1.0)).astype(np.int16)  # the second half all but silent
        files.append(str(folder / f"{i}.wav"))
        write_wav(files[-1], samples)
        sounds.append(samples.astype(np.float32) / 32768)
    answer, out = bench.ask("process", plugin="whisper", weights=folder, media=files)
    expected = {f"{i}.{j}": part for i, sound in enumerate(sounds) for j, part in enumerate(windows(extractor, [sound])[0])}
    bench.compare(f"voxtral: windows of {len(lengths)} sounds", out, expected)
    bench.check("voxtral: as many windows as a sound fills", [len(grids) for grids in answer["grids"]] == [-(-length // 32000) for length in lengths])
    many = sorted({n + more for n in range(0, 97000, 160 * FRAMES // 2) for more in (-160, -1, 0, 1, 160)} - {-160, -1, 0})
    many += [generator.randrange(1, 97000) for _ in range(2000 - len(many))]
    got = bench.ask("part_counts", plugin="whisper", weights=folder, shapes=[[n] for n in many], connector="frame_stack", connector_options="factor = 4\n")[0]["counts"]
    wrong = [case for case in zip(many, got) if case[1] != [-(-case[0] // (160 * FRAMES)), -(-case[0] // (160 * FRAMES)) * FRAMES // 2 // 4]]
    bench.check(f"voxtral: windows and vectors of sounds of {len(many)} lengths", not wrong, wrong[:3] or "")
    for key, value in (("hop_length", 80), ("n_fft", 512), ("sampling_rate", 8000), ("feature_size", 128), ("chunk_length", 30), ("dither", 0.1)):
        (folder / "preprocessor_config.json").write_text(json.dumps({**json.loads(extractor.to_json_string()), key: value}))
        bench.refused(f"voxtral refuses {key} = {value}", key, "process", plugin="whisper", weights=folder, media=[])


def refusals(bench):
    folder = bench.new_folder()
    config = json.loads(VoxtralConfig(audio_config=EARS, text_config={"num_attention_heads": 4}, audio_token_id=24).to_json_string(use_diff=False))
    for size in (100, 48 * 7, 48 * 300):
        (folder / "config.json").write_text(json.dumps({**config, "audio_config": {**EARS, "intermediate_size": size}}))
        bench.refused(f"voxtral refuses to join {size} values", "audio_config.intermediate_size", "parameters", model=f'from = "{folder}"\n')
    (folder / "config.json").write_text(json.dumps({**config, "projector_hidden_act": "sinc"}))
    bench.refused("voxtral refuses an activation that is not there", "projector_hidden_act", "parameters", model=f'from = "{folder}"\n')


def sound(folder, name):
    return base64.b64encode((folder / name).read_bytes()).decode()


def chunks(folder, content):
    if isinstance(content, str):
        return content
    return [AudioChunk(input_audio=sound(folder, part["audio"])) if part["type"] == "audio" else TextChunk(text=part["text"]) for part in content]


def request_of(folder, sample):
    kinds = {"system": SystemMessage, "user": UserMessage, "assistant": AssistantMessage}
    return ChatCompletionRequest(messages=[kinds[message["role"]](content=chunks(folder, message["content"])) for message in sample["messages"]])


LAYOUTS = [
    turns(("user", [audio("a.wav"), text("What is this?")]), ("assistant", "A fire engine.")),
    turns(("user", [text("Is "), audio("long.wav"), text(" like "), audio("a.wav"), text("?")]), ("assistant", "No."), ("user", "Are you sure? [AUDIO], <s> and </s> are words."), ("assistant", "Yes!")),
    turns(("system", "Answer in one word."), ("user", "No sound: [INST] 1234, naïve, \U0001f692."), ("assistant", "Le camion rouge.")),
    turns(("user", [audio("a.wav"), audio("short.wav")]), ("assistant", "une voix"))]


# Which mistral_common takes from v13 on.
SYSTEM_AND_SOUND = turns(("system", "Answer in one word."), ("user", [audio("a.wav"), text("What is this?")]), ("assistant", "Engine."))


def tokens(bench, reference):
    """Ids and places of whole conversations and of transcriptions out of tekken.json, as mistral_common has them."""
    folder = reference.folder
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "added_tokens.json"):
        (folder / name).unlink(missing_ok=True)
    for version in ("v7", "v11", "v13"):
        tekken.write(folder / "tekken.json", version=version, size=reference.model.config.text_config.vocab_size)
        theirs = MistralTokenizer.from_file(str(folder / "tekken.json"), mode=ValidationMode.finetuning)
        mark = tekken.CONTROLS.index("[AUDIO]")
        samples = LAYOUTS + [SYSTEM_AND_SOUND] * (version == "v13")
        expected = [torch.tensor(theirs.encode_chat_completion(request_of(folder, sample)).tokens) for sample in samples]
        _, out = ask(bench, reference, samples)
        ids = torch.cat([torch.where(one == mark, 0, one) for one in expected])
        bench.check(f"voxtral: ids of conversations as mistral_common's, {version}", torch.equal(out["ids"], ids), f"{len(ids)} tokens")
        bench.check(f"voxtral: answers are supervised with the token that ends them, {version}", sum(int(label == 2) for label in out["labels"]) == sum(m["role"] == "assistant" for s in samples for m in s["messages"]))
        for language in (None, "fr"):
            said = "Le camion rouge."
            request = TranscriptionRequest(model="x", audio=sound(folder, "long.wav"), language=language)
            begin = theirs.encode_transcription(request).tokens
            whole = torch.tensor(begin + theirs.instruct_tokenizer.tokenizer.encode(said, bos=False, eos=True))
            variables = f"llm.template_variables = {{ transcribe = true{', language = ' + json.dumps(language) if language else ''} }}\n"
            _, out = bench.ask("model", model=reference.table(more=variables), samples=named([turns(("user", [audio("long.wav")]), ("assistant", said))]), folder=folder)
            bench.check(f"voxtral: ids of a transcription as mistral_common's, {version}, {language}", torch.equal(out["ids"], torch.where(whole == mark, 0, whole)) and len(out["labels"]) == len(whole) - len(begin), f"{len(whole)} tokens")
    variables = "llm.template_variables = { transcribe = true }\n"
    bench.refused("voxtral: a transcription has no text", "one sound and no text", "model", model=reference.table(more=variables), samples=named(LAYOUTS[:1]), folder=folder)
    tekken.write(folder / "tekken.json", version="v15", size=reference.model.config.text_config.vocab_size)
    bench.refused("voxtral: the layout of v15 is not known", "v3, v7, v11 and v13", "model", model=reference.table(), samples=named(LAYOUTS[:1]), folder=folder)


def run(bench):
    features(bench)
    refusals(bench)
    counted(bench, "voxtral, Voxtral-Mini-3B", VoxtralConfig(audio_token_id=24, text_config={"num_attention_heads": 32}, audio_config={}), VoxtralForConditionalGeneration)
    for kind in (Voxtral, VoxtralPairs):
        reference = family(bench, kind)
        if kind is Voxtral:
            defaults(bench, reference, ask(bench, reference, reference.samples)[1])
            adapted(bench, reference)
            tokens(bench, reference)
