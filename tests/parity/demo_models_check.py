#!/usr/bin/env python3
"""Checks the demo's converted models against transformers: every key used, known ids, logits, loss and transcripts.

Runs on the directories under models/ (made by tools/demo/prepare.sh); what is not there is skipped with a reason.
The original files under .cache/demo/weights, if they are still there, serve as a second oracle.
"""
import json
import random
import subprocess
import unittest
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

from models.voice_activity import Reference

ROOT = Path(__file__).resolve().parents[2]
MODELS, WEIGHTS, DEBIAN = ROOT / "models", ROOT / ".cache/demo/weights", ROOT / ".cache/demo/debian"
transformers.logging.set_verbosity_error()


def model_folder(name):
    if not (MODELS / name / "model.safetensors").exists():
        raise unittest.SkipTest(f"models/{name} is not there: run tools/demo/prepare.sh")
    return MODELS / name


def load(model_class, folder):
    model, report = model_class.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    return model.eval(), report


def g722(language, prompt):
    package = DEBIAN / f"asterisk-core-sounds-{language}-g722"
    files = sorted(package.glob(f"usr/share/asterisk/sounds/*/{prompt}.g722"))
    if not files:
        raise unittest.SkipTest("the recordings are not there: run tools/demo/prepare.sh")
    command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(files[0]), "-ar", "16000", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)


class LoadingTest(unittest.TestCase):
    def assert_complete(self, report, tied=()):
        self.assertEqual(set(report["missing_keys"]) - set(tied), set())
        self.assertEqual(set(report["unexpected_keys"]), set())
        self.assertFalse(report["mismatched_keys"])


class SmolLm2Test(LoadingTest):
    SENTENCE = "The cat sat on the mat because it was tired. Speech and images are encoded as tokens."
    IDS = [504, 2644, 2643, 335, 260, 1171, 975, 357, 436, 12364, 30, 19315, 284, 3265, 359, 21121, 347, 17837, 30]

    @classmethod
    def setUpClass(cls):
        cls.folder = model_folder("smollm2-135m-instruct")
        cls.tokenizer = transformers.AutoTokenizer.from_pretrained(cls.folder)
        cls.model, cls.report = load(transformers.AutoModelForCausalLM, cls.folder)

    def test_every_key_is_used(self):
        self.assert_complete(self.report, tied=("lm_head.weight",))

    def test_ids_logits_and_loss_of_a_known_sentence(self):
        ids = self.tokenizer(self.SENTENCE, return_tensors="pt").input_ids
        self.assertEqual(ids[0].tolist(), self.IDS)
        with torch.no_grad():
            out = self.model(ids, labels=ids)
        expected = torch.tensor([5.20514, 3.79404, 10.17661, 0.70959, 0.91861])
        torch.testing.assert_close(out.logits[0, -1, :5], expected, atol=2e-4, rtol=0)
        self.assertAlmostEqual(out.loss.item(), 5.36404, places=4)

    def test_answers_a_question(self):
        messages = [{"role": "user", "content": "What is the capital of France?"}]
        prompt = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt",
                                                    return_dict=True)
        out = self.model.generate(**prompt, max_new_tokens=20, do_sample=False)
        answer = self.tokenizer.decode(out[0, prompt.input_ids.shape[1]:])
        self.assertEqual(answer, "The capital of France is Paris.<|im_end|>")

    def test_tokenizer_equals_the_one_transformers_makes_of_the_gguf(self):
        if not (WEIGHTS / "smollm2-135m-instruct/model.gguf").exists():
            self.skipTest("the GGUF file is not there any more")
        oracle = transformers.AutoTokenizer.from_pretrained(WEIGHTS / "smollm2-135m-instruct", gguf_file="model.gguf")
        for text in fuzz_texts():
            self.assertEqual(self.tokenizer(text).input_ids, oracle(text).input_ids, repr(text))


def fuzz_texts():
    rng = random.Random(7)
    words = ["cat", " the", "don't", "\n\n", "  ", "été", "кошка", "猫", "🐈‍⬛", "I'LL", "\t", "(a)", "x=1;",
             "<|im_end|>", "<file_sep>", "<|nothing|>", "123", "4", "½", "٣٤", "e\u0301", "ﬁ", "\u00a0", "naïve", "."]
    return ["".join(rng.choices(words, k=rng.randint(1, 12))) for _ in range(2000)]


class WhisperTest(LoadingTest):
    TRANSCRIPTS = {
        ("en", "vm-goodbye"): "Goodbye.",
        ("en", "agent-alreadyon"): "That agent is already logged on. Please enter your agent number followed by the "
                                   "pound key.",
        ("ru", "agent-alreadyon"): "Этот оператор уже зарегистрирован. Ведите номер оператора и нажмите решетку.",
    }

    @classmethod
    def setUpClass(cls):
        cls.folder = model_folder("whisper-base")
        cls.processor = transformers.AutoProcessor.from_pretrained(cls.folder)
        cls.model, cls.report = load(transformers.WhisperForConditionalGeneration, cls.folder)

    def test_every_key_is_used(self):
        self.assert_complete(self.report, tied=("proj_out.weight",))

    def test_transcripts(self):
        for (language, prompt), expected in self.TRANSCRIPTS.items():
            sound = g722(language, prompt)
            features = self.processor(sound, sampling_rate=16000, return_tensors="pt").input_features
            ids = self.model.generate(features, language=language, task="transcribe", num_beams=1, do_sample=False)
            self.assertEqual(self.processor.batch_decode(ids, skip_special_tokens=True)[0].strip(), expected)

    def test_tokenizer_is_whole(self):
        tokenizer = self.processor.tokenizer
        self.assertEqual(len(tokenizer), 51865)
        self.assertEqual(tokenizer.convert_tokens_to_ids("<|30.00|>"), 51864)
        self.assertEqual(tokenizer(" the time", add_special_tokens=False).input_ids, [264, 565])
        self.assertEqual(tokenizer.decode([264, 565]), " the time")


class Dinov2Test(LoadingTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = model_folder("dinov2-small")
        cls.model, cls.report = load(transformers.AutoModel, cls.folder)

    def test_every_key_is_used(self):
        self.assert_complete(self.report)

    def test_hidden_states_equal_those_of_the_onnx_graph(self):
        onnx_file = WEIGHTS / "dinov2-small/vit_s_focus.onnx"
        if not onnx_file.exists():
            self.skipTest("the ONNX file is not there any more")
        pixels = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3, 224, 224), np.float32))
        with torch.no_grad():
            hidden = self.model(pixels).last_hidden_state
        oracle = torch.from_numpy(run_backbone(onnx_file, pixels.numpy()))
        self.assertEqual(hidden.shape, oracle.shape)
        self.assertLess((hidden - oracle).abs().max().item(), 2e-4)

    def test_processor_loads(self):
        processor = transformers.AutoImageProcessor.from_pretrained(self.folder)
        pixels = processor(np.zeros((300, 280, 3), np.uint8), return_tensors="pt").pixel_values
        self.assertEqual(tuple(pixels.shape), (1, 3, 224, 224))


def run_backbone(onnx_file, pixels):
    """The output of the backbone's final norm in the original graph, by onnx's reference evaluator."""
    import onnx
    from onnx.reference import ReferenceEvaluator
    model = onnx.load(onnx_file)
    nodes = list(model.graph.node)
    last = next(index for index, node in enumerate(nodes) if "backbone.layernorm.bias" in node.input)
    output = onnx.helper.make_tensor_value_info(nodes[last].output[0], onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(nodes[:last + 1], "backbone", list(model.graph.input), [output],
                                   list(model.graph.initializer))
    short = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    return ReferenceEvaluator(short).run(None, {model.graph.input[0].name: pixels})[0]


class SileroTest(unittest.TestCase):
    """The network as we describe it, with the published weights, against the published TorchScript, on speech."""

    def test_probabilities_equal_those_of_the_script(self):
        folder = model_folder("silero-vad")
        if not (WEIGHTS / "silero-vad/silero_vad.jit").exists():
            self.skipTest("the TorchScript file is not there any more")
        script = torch.jit.load(WEIGHTS / "silero-vad/silero_vad.jit")
        network = Reference()
        network.load_state_dict(load_file(folder / "model.safetensors"))
        sound = torch.from_numpy(g722("en", "agent-alreadyon"))
        windows = sound[:len(sound) // 512 * 512].view(-1, 512)
        past, state, ours, theirs = torch.zeros(64), None, [], []
        with torch.no_grad():
            for window in windows:
                p, state = network(torch.cat([past, window])[None], state)
                past = window[-64:]
                ours.append(p.item())
                theirs.append(script(window, 16000).item())
        self.assertLess(max(abs(a - b) for a, b in zip(ours, theirs)), 1e-5)
        self.assertGreater(max(ours), 0.9)


if __name__ == "__main__":
    print(json.dumps({"models": str(MODELS), "transformers": transformers.__version__}))
    unittest.main(verbosity=2)
