"""WER and CER against jiwer, chrF against sacrebleu, on random texts in several alphabets. Usage: metrics_parity.py PROBE"""

import json
import random
import subprocess
import sys

import jiwer
from sacrebleu.metrics import CHRF

WORDS = ["a", "the", "red", "Bird", "flies", "über", "été", "naïve", "что", "дом", "日本", "語", "x", "3.5", "don't", "high-level", "…", "!", "😀", "ﬁn"]


def pairs(count):
    noise = random.Random(17)
    for _ in range(count):
        expected = [noise.choice(WORDS) for _ in range(noise.randrange(1, 12))]
        predicted = [w for w in expected if noise.random() > 0.15]
        for _ in range(noise.randrange(4)):
            predicted.insert(noise.randrange(len(predicted) + 1), noise.choice(WORDS))
        yield noise.choice([" ", "  ", "\t"]).join(predicted), " ".join(expected)
    yield from [("", "a b"), ("a b", "a b"), ("A B.", "a b"), ("a", "a b c d e f g h"), ("ab", "abcdefgh")]


def main(probe):
    cases = list(pairs(1500))
    text = "".join(json.dumps(pair) + "\n" for pair in cases)
    lines = subprocess.run([probe], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(cases), f"{len(lines)} answers for {len(cases)} cases"
    chrf, compared = CHRF(), 0
    for (predicted, expected), line in zip(cases, lines):
        got = json.loads(line)
        where = f"{predicted!r} for {expected!r}: {got}"
        wanted = chrf.sentence_score(predicted, [expected]).score
        assert abs(got["chrf"] - wanted) < 1e-6, f"chrF {wanted}, {where}"
        hypothesis, reference = got["normalized"]
        if not reference:
            continue
        compared += 1
        words, characters = jiwer.process_words(reference, hypothesis), jiwer.process_characters(reference, hypothesis)
        for name, result in [("words", words), ("characters", characters)]:
            errors = result.substitutions + result.deletions + result.insertions
            length = result.hits + result.substitutions + result.deletions
            assert got[name] == [errors, length], f"{name} {errors} of {length}, {where}"
    assert compared > 1400
    print(f"{len(cases)} pairs agree with sacrebleu, {compared} with jiwer")


if __name__ == "__main__":
    main(sys.argv[1])
