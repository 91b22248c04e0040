"""Answers in many scripts: normalised as jiwer 4 and Whisper's BasicTextNormalizer do it, WER and CER as jiwer, chrF as
sacrebleu. Every character that this Python knows is compared. Usage: metrics_parity.py PROBE"""

import json
import random
import subprocess
import sys
import unicodedata

import jiwer
from sacrebleu.metrics import CHRF
from transformers.models.whisper.english_normalizer import BasicTextNormalizer

WORDS = """a the red Bird flies über été naïve что дом 日本 語 x 3.5 don't high-level … ! 😀 ﬁn
你好，世界！ 天气 「今天」 こんにちは。 カタカナ ｶﾀｶﾅ สวัสดี ครับ ฯ यह किताब है। नमस्ते مرحبا، كيف حالك؟ ١٢٣ שָׁלוֹם VIỆT NAM Đẹp LẮM.
ΟΔΥΣΣΕΥΣ ΣΑΣ. Σ ΑΣ·Β İstanbul ISPARTA ıĞ STRASSE Straße ẞ e\u0301te\u0301 Ａ１！ （注） ［音］ ©2024 €5 ½ Ⅳ Ⅷ ﬃ 👩‍👩‍👧 🇩🇪 İ\u0307 ǅ Ǆ ᏣᎳᎩ Ა ß’s
[noise] (laughs) <unk> ( ) () [a <b> ) ] ‹q› «q» ¿Qué? ¡Sí! 1,000.50 a\u00ad-b \u200bx\u200d y\u0085z \x1c \u3000 한국어 ‘한’ ქართული ԱԲԳ՝ ¶ § ‰ № ™ ª º ʼn ŉ""".split(" ")


def jiwer_text(text):
    lowered = jiwer.Compose([jiwer.ToLowerCase(), jiwer.RemovePunctuation()])(text)
    return " ".join(lowered.split())


def whisper_text(text, normalizer=BasicTextNormalizer()):
    return " ".join(normalizer(text).split())


NORMALIZERS = {"jiwer": jiwer_text, "whisper": whisper_text}


def pairs(count):
    noise = random.Random(17)
    for _ in range(count):
        expected = [noise.choice(WORDS) for _ in range(noise.randrange(1, 12))]
        predicted = [w for w in expected if noise.random() > 0.15]
        for _ in range(noise.randrange(4)):
            predicted.insert(noise.randrange(len(predicted) + 1), noise.choice(WORDS))
        yield noise.choice([" ", "  ", "\t", "\n", "\u00a0", ""]).join(predicted), " ".join(expected)
    yield from [("", "a b"), ("a b", "a b"), ("A B.", "a b"), ("a", "a b c d e f g h"), ("ab", "abcdefgh")]


def all_characters():
    """Each character between two letters, so that what stands for it can be seen; 400 a line."""
    known = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    for i in range(0, len(known), 400):
        yield "q".join(["", *known[i : i + 400], ""]), "x"


def check_scores(got, predicted, expected, chrf, where):
    wanted = chrf.sentence_score(predicted, [expected]).score
    assert abs(got["chrf"] - wanted) < 1e-6, f"chrF {wanted}, {where}"
    hypothesis, reference = got["normalized"]
    if not reference:
        return 0
    words, characters = jiwer.process_words(reference, hypothesis), jiwer.process_characters(reference, hypothesis)
    for name, result in [("words", words), ("characters", characters)]:
        errors = result.substitutions + result.deletions + result.insertions
        length = result.hits + result.substitutions + result.deletions
        assert got[name] == [errors, length], f"{name} {errors} of {length}, {where}"
    return 1


def main(probe):
    texts, characters = list(pairs(1500)), list(all_characters())
    cases = [(*pair, name) for pair in texts + characters for name in NORMALIZERS]
    text = "".join(json.dumps(case) + "\n" for case in cases)
    lines = subprocess.run([probe], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(cases), f"{len(lines)} answers for {len(cases)} cases"
    chrf, compared = CHRF(), 0
    for (predicted, expected, name), line in zip(cases, lines):
        got = json.loads(line)
        where = f"{name}: {predicted!r} for {expected!r}: {got}"
        for mine, original in zip(got["normalized"], [predicted, expected]):
            wanted = NORMALIZERS[name](original)
            different = [(a, b) for a, b in zip(mine, wanted) if a != b][:3]
            assert mine == wanted, f"normalised: {different}, wanted {wanted!r}, {where}"
        if len(predicted) < 400:
            compared += check_scores(got, predicted, expected, chrf, where)
    assert compared > 2800
    known = sum(len(predicted) // 2 for predicted, _ in characters)
    print(f"{len(texts)} pairs agree with sacrebleu and jiwer ({compared} comparisons), {known} characters with jiwer and Whisper")


if __name__ == "__main__":
    main(sys.argv[1])
