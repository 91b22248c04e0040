"""tekken.json files of tokens trained here, in mistral_common's format."""
import base64
import json
import wave

import numpy as np

PATTERN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROLS = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
            "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", "<SPECIAL_20>", "<SPECIAL_21>", "<SPECIAL_22>", "<SPECIAL_23>", "[AUDIO]", "[BEGIN_AUDIO]", "<SPECIAL_26>", "<SPECIAL_27>", "<SPECIAL_28>",
            "<SPECIAL_29>", "<SPECIAL_30>", "<SPECIAL_31>", "[ARGS]", "[CALL_ID]", "[TRANSCRIBE]"]
WORDS = ["<s>", "fire", " fire", " engine", "lang", "fr", " rouge", " camion", "answer", " word", "one", " one"]


def words_of(words):
    """Single bytes, then the words and what they are spelled by, from the left."""
    tokens = [bytes([byte]) for byte in range(256)]
    for word in words:
        raw = word.encode()
        tokens += [raw[:end] for end in range(2, len(raw) + 1) if raw[:end] not in tokens]
    return tokens


def document(tokens, size=None, controls=CONTROLS, count=40, version="v7", **more):
    """`size`: of the whole vocabulary; ranks above it stay in the file."""
    size = size or count + len(tokens)
    config = {"pattern": PATTERN, "num_vocab_tokens": len(tokens), "default_vocab_size": min(size, count + len(tokens)), "default_num_special_tokens": count, "version": version}
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": token.decode(errors="replace")} for rank, token in enumerate(tokens)]
    special = {} if controls is None else {"special_tokens": [{"rank": rank, "token_str": token, "is_control": True} for rank, token in enumerate(controls)]}
    return {"config": config, "vocab": vocab, **special, **more}


def write(path, words=WORDS, window=2.0, mels=80, **how):
    heard = {"sampling_rate": 16000, "frame_rate": 12.5, "audio_encoding_config": {"num_mel_bins": mels, "hop_length": 160, "window_size": 400}, "chunk_length_s": window}
    path.write_text(json.dumps(document(words_of(words), audio=heard, **how)))


def read_wav(path):
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
