"""Writes an evaluation as the table of docs/demo.md.

table.py RUN/eval/results.json [--short]     # --short: losses of the answers, and accuracy
"""
import argparse
import json

ORDER = ["right", "shuffled", "shuffled_image", "shuffled_audio", "removed"]
COLUMNS = [("loss", 3), ("accuracy", 2), ("f1", 2), ("chrf", 1), ("wer", 2)]


def interval(metrics, name, digits):
    if name not in metrics:
        return ""
    mean, low, high = (f"{metrics[name][key]:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def above_right(task, condition):
    better = task["right_better_than"].get(condition)
    if not better:
        return ""
    loss = better["loss"]
    return f"{loss['mean']:+.3f}, " + ("p < 0.0002" if loss["p"] < 2e-4 else f"p = {loss['p']:.1g}")


def rows(results):
    for result in results:
        for name, task in result["tasks"].items():
            yield f"{result['set']}, {name}", task


def whole(results):
    yield "| set, task | media | n | answer loss | accuracy | token F1 | chrF | WER | loss above right, p |"
    yield "|---|---|---:|---|---|---|---|---|---|"
    for place, task in rows(results):
        for condition in (name for name in ORDER if name in task["conditions"]):
            cells = [interval(task["conditions"][condition], *column) for column in COLUMNS]
            yield f"| {place} | {condition.replace('_', ' ')} | {task['samples']} | {' | '.join(cells)} | {above_right(task, condition)} |"


def short(results):
    yield "| set, task | n | right | shuffled | removed | accuracy right / shuffled / removed |"
    yield "|---|---|---|---|---|---|"
    for place, task in rows(results):
        conditions = [task["conditions"][name] for name in ("right", "shuffled", "removed")]
        losses = [interval(conditions[0], "loss", 3), *(f"{one['loss']['mean']:.3f}" for one in conditions[1:])]
        yield f"| {place} | {task['samples']} | {' | '.join(losses)} | {' / '.join(f'''{one['accuracy']['mean']:.2f}''' for one in conditions)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    with open(options.results) as file:
        results = json.load(file)
    print("\n".join((short if options.short else whole)(results)))


if __name__ == "__main__":
    main()
