"""`antiphon conformance` finds each fault of the fixtures, of every kind of component, and nothing in those without one.

conformance_test.py ANTIPHON FIXTURES SOURCES
"""

import re
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fork_server"))
import forked

PROGRAM, FIXTURES, SOURCES = "", Path(), Path()

# Of each kind's faulty components the checks that must fail, by the beginning of their names, and what the line says; None:
# it may fail too.
FAULTS = {
    "encoder": {
        "lying_grid": {"counting contract": "expected an output as output_grid() and output_size() say for 1 part(s) [200, 3], of shape [1, 201, 6], got [1, 200, 6]"},
        "cut_gradient": {"gradient: reaches": "expected a gradient for all 4 parameters, got none for 2: first.weight, first.bias", "gradient: agrees": None},
        "global_generator": {"global state": "expected the default random generator untouched"},
        "foreign_exception": {"process: other media": "got a std::out_of_range"},
        "shared_state": {"forward: a batch of two": "against one by one", "forward: the same input": "expected the same output from the same input", "parameters: two instances": "to stay when another changes",
                         "parameters: to(": "same output", "forward: bf16": None, "gradient: agrees": None},
        "unnamed_parameter": {"name map: every": "no", "name map: a written": "second.weight"},
    },
    "connector": {
        "rounded_up": {"counting contract": "expected an output as output_grid() says for 1 part(s) of 1 x 7, of shape [1, 4, 40], got [1, 3, 40]"},
        "batch_scale": {"forward: a batch of two": "a batch of two of 1 x 7 against one by one: expected a difference of at most"},
    },
    "language_model": {
        "sees_future": {"attention: no token sees a later one": "the first 8 of 9 tokens after a change of the last: expected a difference of at most",
                        "cache: in pieces": "12 tokens through the cache in 7 piece(s) against all at once", "cache: rows": None, "cache: copies": None, "media: ": None},
        "sums_in_place": {"cache: copies of rows": "4 other tokens after a copy of 6: expected a difference of at most", "cache: rows": None},
        "ignores_rows": {"cache: rows do not mix": "one step of two cache rows against all at once: expected a difference of at most"},
        "counts_from_one": {"positions: text counts on": "expected text at 0, 1, … on all axes"},
        "loses_change": {"tables: ": "expected added_products() of a change of lm_head, got none"},
        "turned_head": {"shapes: ": "expected a head [vocab_size, hidden_size] of shape [64, 16], got [16, 64]"},
    },
    "peft": {
        "forgets_bias": {"merge: merged() is what forward() does": "model.layers.1.self_attn.q_proj after training: expected a difference of at most", "merge: merge() keeps": "the model after merge()",
                         "attach: two methods": "with the first method merged"},
        "cuts_input": {"gradient: reaches the input": "expected a gradient on the input, so that layers below are trained, got none"},
        "cannot_merge": {"merge: merged() is what forward() does": "expected merged() to be what can_merge() says", "merge: merge() keeps": "cannot become part of the weights", "attach: two methods": "cannot become part of the weights"},
        "denies_merging": {"merge: merged() is what forward() does": "expected merged() to be what can_merge() says", "merge: merge() keeps": "expected an error"},
        "names_by_number": {"attach: to the sites": "expected parameters named '<site>.<name>', got 'gains.0.gain'"},
    },
    "head": {
        "mixes_tokens": {"forward: tokens do not depend": "token 0 among others against alone: expected a difference of at most"},
        "other_width": {"shapes: ": "expected numbers [tokens, outputs()] of shape [1, 2], got [1, 1]"},
    },
    "objective": {
        "batch_mean": {"groups: pieces": "one group and the rest against all: expected a difference of at most", "groups: their order": "the groups in another order",
                       "groups: a batch of padding": "expected a loss of 0 of a batch without sequences, got "},
        "taken_name": {"shapes: ": "every run has a metric 'lr'"},
        "metric_with_gradient": {"shapes: ": "expected the metric 'negative_logp' detached, got a gradient on it"},
        "doubled_gradient": {"gradient: agrees": "as autograd says, a finite difference gives"},
        "counts_all": {"weights: ": "expected no gradient of a sequence whose weight is 0, got "},
    },
    "optimizer": {
        "state_on_cpu": {"state: named": "expected the same state on the meta device, for estimates of memory"},
        "counts_itself": {"state: holds all": "expected the same bits from a state that was saved and read", "update: weight decay": None, "update: elementwise": None},
        "decay_in_gradient": {"update: weight decay is decoupled": "a matrix with decoupled weight decay: expected a difference of at most"},
    },
    "voice_activity": {
        "gives_logits": {"forward: probabilities": "expected probabilities, got"},
        "forgets_past": {"forward: the state holds": "expected the first window to matter for the second"},
        "any_window": {"forward: windows of another length": "expected an error of kind 'data error', got none"},
    },
    "speech_synthesizer": {
        "goes_on": {"say: the same text": "expected the same samples of the same text, after another one", "say: any text": "expected the same samples after other texts"},
        "too_loud": {"say: a sentence": "expected samples within [-1, 1], got"},
        "says_nothing": {"say: any text": "expected samples or an Error(data)"},
    },
    "data_source": {
        "any_file": {"recognises: ": "expected it not to recognise 0 foreign bytes"},
        "from_zero": {"records: JSON objects": "expected rising numbers from 1, got 0 after 0"},
        "by_name": {"fingerprint: ": "expected one fingerprint of a file and its copy, got"},
        "empty_too": {"open: a missing file": "expected an error of kind 'data error', got none"},
        "first_again": {"steps: go on": "expected record 3 from its position, got another one"},
        "other_columns": {"columns: ": "expected only keys that columns() names in its records, got 'answer'"},
        "loses_one": {"open_without: ": "expected 3 records without 'answer', got 2"},
    },
    "record_format": {
        "any_record": {"recognises: ": "expected it not to recognise {}"},
        "unnamed_key": {"keys: ": "expected only keys that keys() names in its records, got 'answer'"},
        "json_exception": {"read: what is odd": "expected no exception or an antiphon::Error, got a nlohmann::", "read: an empty object": "got a nlohmann::"},
        "unknown_role": {"read: whole samples": "expected one of system, user, assistant, tool, got the role 'bot'"},
    },
    "reward": {
        "infinite": {"score: one number an answer": "expected finite numbers, or NaN of what cannot be judged, got inf"},
        "one_short": {"score: one number an answer": "expected one number an answer, 16, got 15", "score: each answer": None, "score: the order": None, "score: it gives": None},
        "batch_mean": {"score: each answer by itself": "expected the same number of an answer alone as among others, got 0 and -"},
        "by_place": {"score: each answer by itself": "expected the same number of an answer alone as among others, got 0 and 1",
                     "score: the order does not matter": "expected the same numbers in another order, got 0 and 15 of one answer"},
    },
    "model_family": {
        "two_owners": {"names: each of one part": "'language_model.tower.x.7.weight' belongs to tower and to language_model"},
        "no_language_model": {"parts: names": "expected a part for the language model, got head, streams.image.encoder"},
        "any_config": {"compose: ": "expected a refusal of a config.json without parts, got a composition"},
    },
    "encodre": {"misspelt": {"kind: one that antiphon knows": "model_family, objective, optimizer, peft, record_format, reward, speech_synthesizer, voice_activity, got encodre"}},
}
RECORDS = """{"question": "What is this?", "answer": "A cat."}
{"id": 2, "question": "Why?", "answer": "It purrs."}
{"id": 3, "question": "Since when?", "answer": "This morning."}
"""


def run(*arguments):
    done = forked.run(PROGRAM, "conformance", *arguments, timeout=120)
    return done.returncode, done.stdout, done.stderr


def failures(output):
    return [line.strip()[4:].strip() for line in output.splitlines() if line.strip().startswith("FAIL")]


# The failures of each component, by "kind name".
def by_component(output):
    found, own = {}, None
    for line in output.splitlines():
        if heading := re.match(r"(\w+ \w+) with ", line):
            own = found.setdefault(heading[1], [])
        elif own is not None:
            own += failures(line)
    return found


def kinds_of_the_core():
    headers = (SOURCES / "core/antiphon/component").glob("*.h")
    return {name for header in headers for name in re.findall(r"struct KindOf<\w+> : Kind<.*\n.*name = \"(\w+)\"", header.read_text()) if header.name != "kind.h"}


class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        records = Path(folder.name) / "records.jsonl"
        records.write_text(RECORDS)
        cls.arguments = [FIXTURES / "faulty.so", "--data", records]
        cls.faulty = run(*cls.arguments)

    def check(self, found, expected):
        for line in found:
            self.assertTrue(any(line.startswith(check) for check in expected), f"unexpected: {line}")
        for check, text in expected.items():
            lines = [line for line in found if line.startswith(check)]
            if text is not None:
                self.assertEqual(len(lines), 1, f"{check}: {found}")
                self.assertIn(text, lines[0])

    def test_a_good_plugin_passes(self):
        code, out, _ = run(FIXTURES / "none.so")
        self.assertEqual(failures(out), [])
        self.assertEqual(code, 0)
        self.assertRegex(out.splitlines()[-1], r"^[1-9][0-9] passed, 0 failed$")

    def test_each_fault_is_found_and_no_other(self):
        code, out, _ = self.faulty
        self.assertEqual(code, 5)
        found = by_component(out)
        for kind, faults in FAULTS.items():
            for name, expected in faults.items():
                with self.subTest(f"{kind} {name}"):
                    self.check(found.pop(f"{kind} {name}"), expected)
        self.assertEqual(found, {f"{kind} sound": [] for kind in FAULTS if kind != "encodre"})
        self.assertRegex(out.splitlines()[-1], rf"^\d+ passed, {len(failures(out))} failed$")

    def test_what_is_no_answer_is_told(self):
        """Of a reward, for people: the bytes of each text, which is what the sound one gives."""
        out = self.faulty[1]
        for line in ["a question, the empty answer: 0; cut: 0", "a question, the expected answer: 10; cut: 10", "a question, the question repeated: 25; cut: 25",
                     "a question, one word 1,000 times: 3999; cut: 3999", "a call of a tool, the empty answer: 0; cut: 0"]:
            self.assertIn(f"        {line}\n", out[out.index("reward sound with"):])

    def test_every_kind_has_faults(self):
        self.assertEqual(kinds_of_the_core(), set(FAULTS) - {"encodre"})

    def test_text_of_a_foreign_exception_is_for_debug(self):
        self.assertNotIn("debug: row", self.faulty[2])
        self.assertIn("debug: row", run(*self.arguments, "--debug")[2])

    def test_no_plugin(self):
        for file in ["no/such/file.so", __file__]:
            code, out, err = run(file)
            self.assertEqual((code, out), (5, ""))
            self.assertIn(str(file), err)
            self.assertIn("fix: ", err)

    def test_options_of_another_component(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = Path(folder.name) / "options.toml"
        file.write_text("[encoder.nune]\nwidth = 3\n[encoder.none]\nwidht = 3\n")
        code, out, err = run(FIXTURES / "none.so", "--options", file)
        self.assertEqual(code, 2)
        self.assertIn("options.toml:1:", err)
        self.assertIn("it has: encoder.none", err)
        file.write_text("[encoder.none]\nwidht = 3\n")
        code, out, err = run(FIXTURES / "none.so", "--options", file)
        self.assertEqual(code, 5)
        self.assertIn("did you mean 'width'", failures(out)[0])


if __name__ == "__main__":
    PROGRAM, FIXTURES, SOURCES = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    unittest.main(argv=sys.argv[:1])
