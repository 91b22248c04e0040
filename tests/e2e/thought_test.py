"""A model that thinks before it answers: the answer is scored, the thought is kept beside it."""

import json

from harness import Case, main, records, sets


class Thought(Case):
    TRAIN, HELD = 4, 2

    def test_the_answer_is_scored_and_the_thought_kept(self):
        data = self.folder / "data" / "thoughts.jsonl"
        turns = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "<think>low</think>\nred"}]
        data.write_text((json.dumps({"messages": turns}) + "\n") * 8)
        source = f'[{{path="{data}"}}]'
        run, text = self.folder / "run", self.config.read_text()
        config = self.folder / "thoughts.toml"
        config.write_text(text.replace("trainable = false", "trainable = true"))
        learn = sets(train__steps=60, train__checkpoint_every=60, train__optimizer__lr=2e-2)
        self.train(run, "--set", f"data.train.sources={source}", *learn, config=config)
        out = self.folder / "eval"
        self.call("eval", run, "--output", out, "--set", f"data.eval.held.sources={source}", *sets(eval__controls="[]", eval__max_tokens=32))
        prediction = records(out / "predictions.jsonl")[0]
        self.assertEqual((prediction["thought"], prediction["predicted"], prediction["expected"]), ("low", "red", "red"))
        scores = json.loads((out / "results.json").read_text())[0]["tasks"]["all"]["conditions"]["right"]
        self.assertEqual((scores["accuracy"]["mean"], scores["cer"]["mean"]), (1, 0))


if __name__ == "__main__":
    main()
