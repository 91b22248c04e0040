"""The program model_probe as a function, and the comparison of tensors."""
import json
import os
import subprocess
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from models.each import Each, joined, picked

LIMIT = 1e-5


class Bench:
    def __init__(self, program, others=()):
        """`others`: instruction sets whose kernels are asked as well; their tensors come as one (each.py)."""
        self.scratch = tempfile.TemporaryDirectory(prefix="model_parity_")
        self.folder = Path(self.scratch.name)
        settings = [{}, *({"ANTIPHON_ISA": isa} for isa in others)]
        self.programs = [subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **more}) for more in settings]
        self.passed = self.failed = self.folders = 0
        self.cases = []  # what was asserted: group, case, ok, and of tensors: limit, how many, how many of them gradients
        self.group = ""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for program in self.programs:
            program.stdin.close()
            program.wait()
        self.scratch.cleanup()

    def new_folder(self):
        self.folders += 1
        path = self.folder / str(self.folders)
        path.mkdir()
        return path

    def ask(self, kind, inputs=None, **request):
        """(answer, tensors). Raises RuntimeError with the probe's error."""
        folder = self.new_folder()
        outputs = [self.send(i, folder, kind, inputs, request) for i in range(len(self.programs))]
        answers = [json.loads(program.stdout.readline() or '{"error": "the probe has ended"}') for program in self.programs]
        if "error" in answers[0]:
            raise RuntimeError(answers[0]["error"])
        tensors = [load_file(path) if path.exists() else {} for path in outputs]
        return joined(answers, kind), joined(tensors, kind) if len(tensors) > 1 else tensors[0]

    def send(self, i, folder, kind, inputs, request):
        """A request to the i-th program; the file that will hold its tensors. What it writes elsewhere only the first one's is looked at."""
        more = {key: str(value) if isinstance(value, Path) else value for key, value in request.items()}
        if isinstance(inputs, dict):
            path = folder / f"inputs_{i}.safetensors"
            if i == 0 or any(isinstance(tensor, Each) for tensor in inputs.values()):
                save_file({name: picked(tensor, i).detach().contiguous() for name, tensor in inputs.items()}, path)
            inputs = path if path.exists() else folder / "inputs_0.safetensors"
        if inputs:
            more["inputs"] = str(inputs)
        for key in ("save", "save_adapter", "export_adapter"):
            if i and key in more:
                more[key] += f"_{i}"
        outputs = folder / f"outputs_{i}.safetensors"
        self.programs[i].stdin.write(json.dumps({"kind": kind, "outputs": str(outputs), **more}) + "\n")
        self.programs[i].stdin.flush()
        return outputs

    def refused(self, case, word, kind, **request):
        """The probe must answer with an error that has the word in it."""
        try:
            self.ask(kind, **request)
            self.check(case, False, "it was taken", refused=True)
        except RuntimeError as error:
            self.check(case, word in str(error), "" if word in str(error) else str(error), refused=True)

    def check(self, case, ok, note="", **asserted):
        self.cases.append({"group": self.group, "case": case, "ok": bool(ok), **asserted})
        self.passed += bool(ok)
        self.failed += not ok
        print(("ok    " if ok else "FAIL  ") + case, note, flush=True)

    def compare(self, case, ours, theirs, limit=LIMIT, scales=None, gradients=()):
        """Dictionaries of tensors with the same names. `scales`: name -> name of the tensor that gives the unit.
        `gradients`: which of them are gradients."""
        if set(ours) != set(theirs):
            return self.check(case, False, f"names differ: {sorted(set(ours) ^ set(theirs))[:8]}")
        worst, worst_name = 0.0, ""
        for name, expected in theirs.items():
            got = ours[name]
            if tuple(got.shape) != tuple(expected.shape):
                return self.check(case, False, f"{name}: expected {tuple(expected.shape)}, got {tuple(got.shape)}")
            unit = theirs[(scales or {}).get(name, name)]
            difference = relative(got, expected, unit)
            if not difference <= worst:
                worst, worst_name = difference, name
        self.check(case, worst <= limit, f"{len(theirs)} tensors, {worst:.1e} {worst_name if worst > limit / 10 else ''}", limit=limit, tensors=len(theirs),
                   gradients=len(set(gradients) & set(theirs)), other_unit=sum((scales or {}).get(name, name) != name for name in theirs))


def relative(ours, theirs, unit=None):
    unit = theirs if unit is None else unit
    difference = (ours.detach().double() - theirs.detach().double()).abs().max().item()
    return difference / max(unit.detach().double().abs().max().item(), 1e-30)


def likeliest(logits, prompt):
    """Of logits [tokens, vocab] of `prompt` tokens and an answer without its last one: what is likeliest at each place of the answer. It is the
    answer itself if that is the greedy one; one pass tells it, in place of one for each token."""
    return logits[prompt - 1:].argmax(-1).tolist()


def isolated(bench, case, before, after, changed):
    """Of a batch in which one sample became another, (what came out, lengths) before and after: its own states differ, those of all others do not."""
    halves = []
    for out, lengths in (before, after):
        halves.append({f"{name} of {i}": piece for name in ("hidden", "logits") for i, piece in enumerate(out[name].split(lengths))})
    own = [[one.pop(f"{name} of {changed}") for name in ("hidden", "logits")] for one in halves]
    if any(a.shape == b.shape and torch.allclose(a, b, atol=1e-2) for a, b in zip(*own)):
        return bench.check(f"{case}: another sample changes no other", False, "it did not change itself")
    bench.compare(f"{case}: another sample changes no other", *halves[::-1], limit=1e-6)


def named_gradients(module, rename=lambda name: name):
    return {rename(name): p.grad for name, p in module.named_parameters() if p.grad is not None}


def starting(tensors, prefix):
    return {name[len(prefix):]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
