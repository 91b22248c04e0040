"""A language model that cannot read one letter, and samples that have it: what a step of them gives is not finite."""
import json

import make_tiny

LETTER = "~"  # whose embedding is infinite


def infinite(case):
    """The tiny composition with that model; a file."""
    from safetensors.numpy import load_file, save_file

    folder, path = case.folder / "models" / "infinite", case.folder / "infinite.toml"
    if not folder.exists():
        make_tiny.write_llama(folder)
        number = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"][LETTER]
        values = load_file(folder / "model.safetensors")
        values["model.embed_tokens.weight"][number] = float("inf")
        save_file(values, folder / "model.safetensors", metadata={"format": "pt"})
        path.write_text(case.config.read_text().replace("models/llama", "models/infinite"))
    return path


def marked(line, letter):
    """The sample with a letter at the end of its question."""
    line = json.loads(json.dumps(line))
    line["messages"][0]["content"][-1]["text"] += letter
    return line
