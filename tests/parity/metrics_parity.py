"""Answers in many scripts: normalised as jiwer 4 and Whisper's BasicTextNormalizer and EnglishTextNormalizer do it, WER and
CER as jiwer, chrF, chrF++ and BLEU as sacrebleu, ROUGE as rouge-score. Every character that this Python knows is compared. What conforms to a
JSON Schema, as jsonschema. Usage: metrics_parity.py PROBE"""

import json
import random
import subprocess
import sys
import unicodedata

import jiwer
import jsonschema
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

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


LINES = """it's 20 dollars and five cents , twenty twenty-one the year nineteen eighty four minus 7 degrees
one oh one double seven triple nine two point five million three hundred and forty two thousand and one
half past nine and a half , seven and a half million , the and a half of it , five hundred and a half
mr. smith's been gone , mrs jones won't've , dr. who ain't gonna st. john capt. ahab 'twas y'all's
$20 million £3.50 €0.07 $0.5 and ¢7 ten percent , 50 per cent 3% of 1,000,000 and 1,5 per capita
the first second third twenty-first 21st 1960s nineties fifties hundredth millions two thousandths sixes
zero 007 3.0 3.50 1.2.3.4 192.168.0.1 point 5 five point oh nine 5 point . 12345678901234567890123 million thousand
a positive twelve negative pounds plus euros minus cents cent dollars pound one ones once 1s 1 11 101 o'clock oh
colour honour (laughs) [noise] <unk> hmm uh-huh mhm um mm i'ma imma let's wanna woulda ma'am
ŒUVRE straße Ångström naïve façade ﬁn ½ Ⅳ ٣ ٣٫٥ ٣.٥ ١٢ million x² 10² co₂ ° € ¢ £5 $ % .5 5. 3,4,5 1 , 2
decillion nonillion quintillion five decillion six sextillion hundred thousand million billion trillion
"it 's" \u2019s don\u2019t e.g. u.s.a. 5th 5 th 7 s 3 rd 4 nd b2b 4k 10km a1b2c3 and and double triple point per nineth ninth eighth twelfth""".split()


def english_lines(count):
    noise = random.Random(23)
    mapping = {"colour": "color", "honour": "honor", "grey": "gray", "five": "fyve", "metre": "meter"}
    lines = [" ".join(noise.choice(LINES) for _ in range(noise.randrange(1, 14))) for _ in range(count)]
    lines += [noise.choice(["  ", "\n", " '", ", ", "-"]).join(noise.choice(LINES + WORDS) for _ in range(noise.randrange(1, 9))) for _ in range(count // 2)]
    return lines, mapping


def english(ask):
    """Whisper's EnglishTextNormalizer with some spelling table, on lines of numbers, money, titles and contractions."""
    lines, mapping = english_lines(6000)
    for spellings in (mapping, {}):
        theirs = EnglishTextNormalizer(spellings)
        wanted = [" ".join(theirs(line).split()) for line in lines]
        [got] = ask([{"pairs": [[line, ""] for line in lines], "normalizer": "whisper_english", "spellings": spellings}])
        wrong = [(line, mine["normalized"][0], want) for line, mine, want in zip(lines, got["pairs"], wanted) if mine["normalized"][0] != want]
        assert not wrong, f"{len(wrong)} of {len(lines)} lines, the first: {wrong[:5]}"
    characters = [text for text, _ in all_characters()]
    theirs = EnglishTextNormalizer({})
    [got] = ask([{"pairs": [[text, ""] for text in characters], "normalizer": "whisper_english"}])
    for text, mine in zip(characters, got["pairs"]):
        want = " ".join(theirs(text).split())
        assert mine["normalized"][0] == want, [(a, b) for a, b in zip(mine["normalized"][0], want) if a != b][:3]
    print(f"{len(lines)} English lines, {len(characters) * 400} characters agree with Whisper's English normalizer")


def close(mine, theirs, what):
    assert abs(mine - theirs) <= 1e-9 * max(1, abs(theirs)), f"{what}: {theirs} there, {mine} here"


def sets(texts):
    """The whole, subsets of several sizes, and sets of one."""
    noise = random.Random(5)
    return [texts, *[noise.sample(texts, size) for size in (2, 3, 5, 10, 50, 200) for _ in range(4)], *[[pair] for pair in noise.sample(texts, 40)]]


def whole_sets(ask, texts):
    """Of whole sets: BLEU with every tokenizer, chrF and chrF++; of each pair and in the mean ROUGE."""
    types = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    rouge, compared = RougeScorer(types), 0
    lines = texts + [(a.replace(" ", "\n", 2), b.replace(" ", "\n", 1)) for a, b in texts[:500]]
    tokenizers = ["13a", "zh", "char", "none"]
    requests = [{"pairs": pairs, "normalizer": "jiwer", "tokenizer": name} for pairs in sets(lines) for name in tokenizers]
    for request, got in zip(requests, ask(requests)):
        predicted, expected = [list(side) for side in zip(*request["pairs"])]
        for name, metric in [("bleu", BLEU(tokenize=request["tokenizer"])), ("corpus_chrf", CHRF()), ("corpus_chrf++", CHRF(word_order=2))]:
            close(got["whole"][name], metric.corpus_score(predicted, [expected]).score, (name, request["tokenizer"], len(predicted)))
        if request["tokenizer"] != "13a":
            continue
        theirs = [rouge.score(b, a) for a, b in request["pairs"]]
        for kind in types:
            close(got["whole"][kind], sum(score[kind].fmeasure for score in theirs) / len(theirs), kind)
            for pair, mine, score in zip(request["pairs"], got["pairs"], theirs):
                close(mine[kind], score[kind].fmeasure, (kind, pair))
        compared += len(theirs)
    marks = ["".join(chr(c) for c in range(begin, begin + 64) if unicodedata.category(chr(c)) not in ("Cs", "Cn")) for begin in range(0, 0x30000, 64)]
    for name in tokenizers:
        pairs = [[mark, mark + " x"] for mark in marks if mark.strip()]
        [got] = ask([{"pairs": pairs, "normalizer": "jiwer", "tokenizer": name}])
        close(got["whole"]["bleu"], BLEU(tokenize=name).corpus_score([a for a, _ in pairs], [[b for _, b in pairs]]).score, name)
    print(f"{len(requests)} sets agree with sacrebleu, {compared} pairs with rouge-score")


def check_scores(got, predicted, expected, chrf, where):
    close(got["chrf"], chrf.sentence_score(predicted, [expected]).score, f"chrF, {where}")
    hypothesis, reference = got["normalized"]
    if not reference:
        return 0
    words, characters = jiwer.process_words(reference, hypothesis), jiwer.process_characters(reference, hypothesis)
    for name, result in [("words", words), ("characters", characters)]:
        errors = result.substitutions + result.deletions + result.insertions
        length = result.hits + result.substitutions + result.deletions
        assert got[name] == [errors, length], f"{name} {errors} of {length}, {where}"
    return 1


NAMES, TEXTS, NUMBERS = ["a", "b", "id", "x-1"], ["", "a", "ab", "日本", "a-b", "x_1", "2024-01-05", "I\u0307"], [0, 1, 2, 3, -1, 2.0, 0.5, 1.5, 7, 1e3]
PATTERNS = ["^a", "b$", r"^\w+$", r"^\d{4}-\d\d-\d\d$", r"[\w-]+", r"^[^\s]*$", "^x-", "^(a|b)+$", r"[]a]", r"^[\d.]*$"]


def some_value(noise, depth=0):
    kind = noise.randrange(8 if depth < 3 else 5)
    if kind >= 6:
        return {noise.choice(NAMES): some_value(noise, depth + 1) for _ in range(noise.randrange(4))}
    if kind == 5:
        return [some_value(noise, depth + 1) for _ in range(noise.randrange(4))]
    return [None, noise.random() < 0.5, noise.choice(NUMBERS), noise.choice(NUMBERS), noise.choice(TEXTS)][kind]


def some_schema(noise, depth=0):
    inner = lambda: some_schema(noise, depth + 1)
    named = lambda: {noise.choice(NAMES): inner() for _ in range(noise.randrange(1, 4))}
    number, count = lambda: noise.choice(NUMBERS), lambda: noise.randrange(4)
    if depth > 3 or noise.random() < 0.05:
        return noise.choice([True, True, False, {}, {"type": "integer"}])
    types = ["object", "array", "string", "number", "integer", "boolean", "null"]
    keywords = {"type": lambda: noise.choice([noise.choice(types), noise.sample(types, 3)]), "enum": lambda: [some_value(noise, 2) for _ in range(5)], "const": lambda: some_value(noise, 2),
                "minimum": number, "maximum": number, "exclusiveMinimum": number, "exclusiveMaximum": number, "multipleOf": lambda: noise.choice([1, 2, 0.5, 3]), "minLength": count, "maxLength": count,
                "pattern": lambda: noise.choice(PATTERNS), "minItems": count, "maxItems": count, "uniqueItems": lambda: noise.random() < 0.7, "items": inner, "prefixItems": lambda: [inner() for _ in range(noise.randrange(1, 3))],
                "contains": inner, "minContains": count, "maxContains": count, "properties": named, "patternProperties": lambda: {noise.choice(PATTERNS): inner()}, "additionalProperties": inner,
                "propertyNames": inner, "required": lambda: noise.sample(NAMES, noise.randrange(1, 3)), "minProperties": count, "maxProperties": count, "dependentRequired": lambda: {noise.choice(NAMES): noise.sample(NAMES, 1)},
                "dependentSchemas": named, "allOf": lambda: [inner(), inner()], "anyOf": lambda: [inner(), inner()], "oneOf": lambda: [inner(), inner()], "not": inner, "if": inner, "then": inner, "else": inner,
                "$ref": lambda: noise.choice(["#/$defs/one", "#/$defs/a~1b", "#/$defs/tree"]), "format": lambda: "date", "title": lambda: "x"}
    chosen = {key: keywords[key]() for key in noise.sample(list(keywords), noise.randrange(1, 4))}
    return chosen


def schemas(ask):
    noise, cases, wanted = random.Random(41), [], []
    for _ in range(6000):
        schema = some_schema(noise)
        if isinstance(schema, dict):
            schema["$defs"] = {"one": some_schema(noise, 3), "a/b": {"type": "string"}, "tree": {"type": "object", "additionalProperties": {"$ref": "#/$defs/tree"}}}
            if isinstance(schema["$defs"]["one"], dict):
                schema["$defs"]["one"].pop("$ref", None)
        for _ in range(8):
            value = some_value(noise)
            cases.append([value, schema])
            wanted.append(jsonschema.Draft202012Validator(schema).is_valid(value))
    [got] = ask([{"schemas": cases}])
    wrong = [(case, want) for case, want, mine in zip(cases, wanted, got) if want != mine]
    assert not wrong, f"{len(wrong)} of {len(cases)}, the first: {json.dumps(wrong[0])}"
    assert 0.2 < sum(wanted) / len(wanted) < 0.8
    odd = [[1, {"$ref": "#/nowhere"}], ["a", {"pattern": "("}], [{}, {"$ref": "#"}], [1, {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}], ["a" * 40 + "!", {"pattern": "^(a+)+$"}]]
    assert ask([{"schemas": odd}]) == [[False] * 5]
    print(f"{len(cases)} values conform to schemas as jsonschema says, {sum(wanted)} do")


def main(probe):
    def ask(requests):
        text = "".join(json.dumps(request) + "\n" for request in requests)
        lines = subprocess.run([probe], input=text, capture_output=True, text=True, check=True).stdout.splitlines()
        assert len(lines) == len(requests), f"{len(lines)} answers for {len(requests)} requests"
        return [json.loads(line) for line in lines]

    texts, characters = list(pairs(1500)), list(all_characters())
    chrf, compared = CHRF(), 0
    for name in NORMALIZERS:
        [answer] = ask([{"pairs": texts + characters, "normalizer": name}])
        for (predicted, expected), got in zip(texts + characters, answer["pairs"]):
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
    whole_sets(ask, texts)
    english(ask)
    schemas(ask)


if __name__ == "__main__":
    main(sys.argv[1])
