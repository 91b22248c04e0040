"""Text to ids on one thread, by `tokenizers` (and `sentencepiece` or `tiktoken`, which the same files are for). The pair
of `antiphon_bench tokenize`; with --make it trains the tokenizer of --kind and writes text for both."""
import json
import os
import random
import sys
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from peer_common import arguments, emit, repeat

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "parity"))
KINDS = ("bpe", "unigram", "wordpiece", "sentencepiece", "tiktoken")
parser = arguments(__doc__)
parser.add_argument("--make", action="store_true")
parser.add_argument("--kind", required=True, choices=KINDS)
parser.add_argument("--folder", required=True, type=Path)
parser.add_argument("--by", choices=["own", "tokenizers"], default="own", help="of sentencepiece and tiktoken: their own package, or what transformers makes of the file for tokenizers")
a = parser.parse_args()


def make():
    import tokenizer_parity

    rng = random.Random(6)
    words = [word for line in tokenizer_parity.SENTENCES for word in line.split()]  # no line begins with a space, before which transformers' form of a SentencePiece file puts none
    line = lambda: " ".join(rng.choice(words) if rng.random() < 0.9 else str(rng.randrange(10**6)) for _ in range(40))
    a.folder.mkdir(parents=True, exist_ok=True)
    if a.kind == "sentencepiece":
        import piece_parity
        piece_parity.train_pieces(a.folder, piece_parity.PIECES["bpe llama"])
    elif a.kind == "tiktoken":
        import base64

        import piece_parity
        (a.folder / "qwen.tiktoken").write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in piece_parity.train_ranks().items()))
    else:
        maker = {"bpe": lambda: tokenizer_parity.make(*tokenizer_parity.kinds()["llama3"], merges_as_text=False), "unigram": lambda: tokenizer_parity.over_pieces()["t5"](),
                 "wordpiece": lambda: tokenizer_parity.over_pieces()["bert"]()}[a.kind]
        (a.folder / "tokenizer.json").write_text(maker())
    (a.folder / "text").write_text("\n".join(line() for _ in range(8000)))  # last: SentencePiece's training writes what it reads there


def converted():
    """The file as transformers gives it to `tokenizers`."""
    if a.kind == "sentencepiece":
        import transformers
        return transformers.LlamaTokenizer.from_pretrained(a.folder).backend_tokenizer
    import tokenizer_parity
    from transformers.convert_slow_tokenizer import TikTokenConverter
    return TikTokenConverter(vocab_file=str(a.folder / "qwen.tiktoken"), pattern=tokenizer_parity.QWEN2).converted()


def encoder():
    if a.by == "tokenizers":
        made = converted()
        return lambda line: made.encode(line, add_special_tokens=False).ids
    if a.kind == "sentencepiece":
        import sentencepiece
        return sentencepiece.SentencePieceProcessor(str(a.folder / "tokenizer.model")).encode
    if a.kind == "tiktoken":
        import base64

        import tiktoken
        import tokenizer_parity
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in (a.folder / "qwen.tiktoken").read_text().splitlines())}
        made = tiktoken.Encoding("made", pat_str=tokenizer_parity.QWEN2, mergeable_ranks=ranks, special_tokens={})
        return made.encode_ordinary
    import tokenizers
    made = tokenizers.Tokenizer.from_file(str(a.folder / "tokenizer.json"))
    return lambda line: made.encode(line, add_special_tokens=False).ids


def measure():
    encode, text = encoder(), (a.folder / "text").read_bytes().decode()  # carriage returns stay
    lines = text.split("\n")
    walls = repeat(lambda: sum(len(encode(line)) for line in lines), a.warmup, a.reps)
    emit("tokenize", {"tokens": sum(len(encode(line)) for line in lines)}, {"mb_per_s": [len(text.encode()) / 1e6 / wall for wall in walls]})


if __name__ == "__main__":
    make() if a.make else measure()
