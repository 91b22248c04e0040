"""Hostile templates end as they must, in time and memory.

template_limits.py PROBE: PROBE is the program template_probe. The files of tests/fuzz/corpus/template: "limit_…" pass a
limit, whose name the error says; "refuse_…" are errors of any kind (3, or 2 if malformed); "ok_…" render. Each within 2 s
of processor time, and all together with at most 64 MiB more memory than a template that does nothing.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[1] / "fuzz" / "corpus" / "template"
LIMITS = ("too long", "too much", "too deep", "a range of more", "too large", "more than", "that is too long")
MESSAGES = [{"role": "user", "content": " Hi ä "}, {"role": "assistant", "content": "Yo"}]


class Probe:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask("{{ 1 }}")

    def ask(self, template):
        line = json.dumps({"template": template, "messages": MESSAGES, "tokens": {}, "generation": True})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else {"died": self.process.wait()}

    def status(self, field):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024

    def seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


def fault(kind, answer):
    error = answer.get("error", "")
    if "died" in answer:
        return "it ended the process"
    if kind == "ok":
        return "" if "text" in answer else "it should render"
    if answer.get("kind") not in (2, 3) or "the chat template" not in error:
        return "an error with exit code 2 or 3 that names the template was expected"
    if kind == "limit" and not any(words in error for words in LIMITS):
        return "the limit is not named"
    return "" if len(error) < 1000 and error.replace("\n", "").isprintable() else "the text is too long or not printable"


def main():
    probe = Probe(sys.argv[1])
    before, wrong, slowest = probe.status("VmHWM"), 0, 0
    cases = {path.name: path.read_text() for path in sorted(CORPUS.iterdir()) if path.name.split("_")[0] in ("ok", "limit", "refuse")}
    cases["refuse_large"] = "x" * (300 << 10)
    cases["limit_once_more"] = cases["limit_letters"]
    for name, template in cases.items():
        start = probe.seconds()
        answer = probe.ask(template)
        words = fault(name.split("_")[0], answer)
        if "died" in answer:
            probe = Probe(sys.argv[1])
            start = probe.seconds()
        took = probe.seconds() - start
        slowest = max(slowest, took)
        more = probe.status("VmHWM") - before
        if took > 2:
            words = words or f"it took {took:.1f} s"
        if more > 64:
            words = words or f"{more:.0f} MiB more"
            before += more  # once
        if words:
            wrong += 1
            print(f"{name}: {words}: {ascii(answer)[:300]}")
    print(f"{len(cases)} templates, {wrong} wrong; slowest {slowest:.2f} s; {probe.status('VmHWM') - before:.0f} MiB more at most")
    return wrong or not cases


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
