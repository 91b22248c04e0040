"""A Qwen2.5-Omni directory as a newcomer uses it: the thinker answers about pictures, videos and sounds without a TOML file, is
trained and exported alone, and what else the directory holds is counted and said. Videos have their sound beside them, or inside."""
import json
import subprocess

import grid_test
from grid_test import CLIP
from harness import main, records, sets
import make_tiny
import tiny_omni


class Omni(grid_test.Grid):
    FAMILY = "qwen2_5_omni"
    test_what_is_taken_of_a_video = test_blocks_that_are_computed_again = None

    @classmethod
    def setUpClass(cls):
        make_tiny.write_qwen2_5_omni = tiny_omni.write_qwen2_5_omni
        super().setUpClass()
        sounds = cls.folder / "data" / "sounds.jsonl"
        make_tiny.write_set(sounds, 2, seed=32, kinds=("audio",))
        lines = cls.data.read_text().splitlines()[2:] + [json.dumps({**record, "id": f"sound-{i}"}) for i, record in enumerate(records(sounds))]
        cls.data.write_text("\n".join(lines) + "\n")
        cls.sound = next(cls.data.parent.rglob("*.wav"))

    def test_sounds(self):
        heard = self.answer(self.qwen, "--audio", self.sound)
        self.assertNotEqual(heard, self.answer(self.qwen, "--image", self.picture))
        self.assertNotEqual(self.answer(self.qwen, "--audio", self.sound, "--video", CLIP), self.answer(self.qwen, "--video", CLIP))
        talked = self.call("chat", self.qwen, "--history", "", *sets(generate__max_tokens=12, precision__compute="fp32"), input=f"/audio {self.sound}\nWhat is this?\n/image {self.picture}\nAnd now?\n")
        self.assertTrue(talked.stdout.startswith(heard))

    def test_sound_inside_a_video(self):
        among, silent = sets(data__video__interleave="true"), self.folder / "silent.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", CLIP, "-an", "-c:v", "copy", silent], check=True)
        heard = self.answer(self.qwen, "--video", CLIP, *among)
        self.assertNotEqual(heard, self.answer(self.qwen, "--video", CLIP))
        self.assertEqual(self.answer(self.qwen, "--video", silent, *among), self.answer(self.qwen, "--video", silent))
        talked = self.call("chat", self.qwen, "--history", "", *sets(generate__max_tokens=12, precision__compute="fp32"), *among, input=f"/video {CLIP}\nWhat is this?\nAnd now?\n")
        self.assertTrue(talked.stdout.startswith(heard))
        shown = self.call("data", "show", self.qwen, "--source", self.data, "--id", "video-0", *among).stdout
        self.assertRegex(shown, r"First·<\|vision_bos\|>\[image \d+: .*clip.mp4 .*\]\[audio \d+: .*clip.mp4 .*\]<\|vision_eos\|>What·colour")
        self.assertRegex(shown, r"stream audio: 1 item, \d+ tokens\n  stream image: 1 item")

    def test_sound_inside_videos_that_are_learnt(self):
        among = sets(data__video__interleave="true")
        packed, alone, apart = self.losses("among_packed", *sets(eval__batch_size=14), *among), self.losses("among_alone", *sets(eval__batch_size=1), *among), self.losses("apart")
        for sample, loss in packed.items():
            self.assertAlmostEqual(loss, alone[sample], delta=1e-5 * loss)
            (self.assertNotEqual if sample.startswith("video") else self.assertEqual)(round(loss, 4), round(apart[sample], 4), sample)
        cached = sets(data__feature_cache=self.folder / "among_features")
        first = self.losses("among_first", *cached, *among)
        self.assertEqual(self.losses("among_second", *cached, *among), first)
        config = self.composed("among", f'[model]\nfrom = "{self.qwen}"\nllm.trainable = true\n[data]\nvideo.interleave = true\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.data}"\n[train]\nsteps = 3\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n')
        run = self.folder / "among"
        self.assertIn("0 samples skipped", self.train(run, config=config).stderr)
        self.assertEqual(self.answer(run, "--video", CLIP), self.answer(run, "--video", CLIP, *among))
        self.assertNotEqual(self.answer(run, "--video", CLIP), self.answer(run, "--video", CLIP, *sets(data__video__interleave="false")))

    def test_what_is_not_read(self):
        said = self.call("generate", self.qwen, "What?", *sets(generate__max_tokens=1)).stderr
        self.assertIn("2 tensors of the talker and of what makes waves of its codes are not read", said)

    def test_trained_and_exported(self):
        more = f'[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.data}"\n[train]\nsteps = 3\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n'
        lora = lambda *targets: f'[{{ plugin = "lora", rank = 2, targets = {json.dumps(targets)} }}]\n'
        peft = f'llm.peft = {lora("q_proj")}streams.image.encoder.peft = {lora("q")}streams.audio.encoder.peft = {lora("q_proj")}'
        config = self.composed("train", f'[model]\nfrom = "{self.qwen}"\n{peft}{more}')
        run, out = self.folder / "run", self.folder / "out"
        self.assertIn("0 samples skipped", self.train(run, config=config).stderr)
        done = self.call("export", run, "--output", out)
        self.assertRegex(done.stderr, r"out: (\d+) tensors, 13 of them changed")  # two each of three towers, five of the merger, the projection's two
        self.assertIn("left out: 1 tensors of talker, 1 tensors of token2wav", done.stderr)
        self.assertEqual(json.loads((out / "config.json").read_text())["model_type"], "qwen2_5_omni_thinker")
        for media in ([], ["--video", CLIP], ["--audio", self.sound]):
            self.assertEqual(self.answer(out, *media), self.answer(run, *media))

    def test_positions_a_second(self):
        """What position_id_per_seconds says is in what is exported."""
        config, out = self.composed("fewer", f'[model]\nfrom = "{self.qwen}"\nstreams.image.encoder.tokens_per_second = 10\n'), self.folder / "fewer"
        self.call("export", config, "--output", out)
        self.assertEqual(json.loads((out / "config.json").read_text())["position_id_per_seconds"], 10)
        self.call("export", self.composed("chunks", f'[model]\nfrom = "{self.qwen}"\nstreams.image.encoder.seconds_per_chunk = 3\n'), "--output", self.folder / "chunks")
        self.assertEqual(json.loads((self.folder / "chunks" / "config.json").read_text())["seconds_per_chunk"], 3)
        half = self.composed("half", f'[model]\nfrom = "{self.qwen}"\nstreams.image.encoder.tokens_per_second = 2.5\n')
        self.assertIn("tokens_per_second = 2.5 is not a whole number", self.call("export", half, "--output", self.folder / "half", code=2).stderr)


if __name__ == "__main__":
    main()
