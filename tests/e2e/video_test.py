"""Videos in generate, chat, eval and train: a lossless clip is its picture and its sound, and real films are taken."""
import json
import subprocess

from harness import Case, ROOT, main, records

STAMPS, CLIPS = ROOT / "data/demo/media/stamps", ROOT / ".cache/demo/clips"


def clip_of(picture, sound, path):
    """A second or more of the still picture and the sound, without loss."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-loop", "1", "-r", "4", "-i", picture, "-i", sound, "-shortest", "-c:v", "png", "-pix_fmt", "rgb24",
                    "-c:a", "pcm_s16le", "-ac", "1", "-ar", "16000", path], check=True)
    return path


class Video(Case):
    TRAIN = HELD = 6

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pictures, cls.sounds = (sorted((cls.folder / "data").rglob(kind)) for kind in ("*.png", "*.wav"))

    def answers(self, *media, sets=()):
        return self.call("generate", self.config, *[word for s in sets for word in ("--set", s)], "--set", "generate.max_tokens=12", *media, "What is this?").stdout

    def test_a_clip_is_its_picture_and_its_sound(self):
        self.same_as_its_parts(self.pictures[0], self.sounds[0])

    def test_a_stamp_and_its_spoken_name(self):
        named = [(picture, sound) for picture in sorted(STAMPS.rglob("*.png")) for sound in [picture.with_name(picture.stem + "_fr.ogg")] if sound.exists()]
        if not named:
            self.skipTest("the demo's stamps are not there: tools/demo/prepare.sh fetches them")
        self.same_as_its_parts(*named[len(named) // 2])

    def same_as_its_parts(self, picture, sound):
        flat, pcm = self.folder / "flat.png", self.folder / "pcm.wav"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", picture, "-pix_fmt", "rgb24", flat], check=True)
        clip = clip_of(flat, sound, self.folder / "clip.mov")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-vn", "-c:a", "copy", pcm], check=True)  # -shortest may have cut it
        one = self.answers("--video", clip, sets=["data.video.frames=1"])
        self.assertEqual(one, self.answers("--image", flat, "--audio", pcm))
        self.assertEqual(self.answers("--video", clip, sets=["data.video.frames=2", "data.video.sound=false"]), self.answers("--image", flat, "--image", flat))

    def test_trained_on_and_evaluated(self):
        path = self.folder / "videos.jsonl"
        lines = []
        for i, (picture, sound) in enumerate(zip(self.pictures * 2, self.sounds * 2)):
            clip = clip_of(picture, sound, self.folder / f"v{i}.mov")
            lines.append({"id": f"v{i}", "messages": [{"role": "user", "content": [{"type": "video", "video": str(clip)}, {"type": "text", "text": "What?"}]},
                                                      {"role": "assistant", "content": f"number {i}"}]})
        lines.append({"id": "bad", "conversations": [{"from": "human", "value": "<video>"}, {"from": "gpt", "value": "no"}], "video": str(path)})
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        sets = ["--set", "data.video.frames=2", "--set", "data.video.interleave=true", "--set", f'data.train.sources=[{{path="{path}"}}]', "--set", f'data.eval.held.sources=[{{path="{path}"}}]']
        run = self.folder / "run"
        self.train(run, *sets, "--set", "train.steps=12", "--set", "data.max_bad_fraction=1.0")
        self.assertEqual([r["id"] for r in records(run / "bad_samples.jsonl")], ["bad"])
        done = self.call("eval", run, "--set", "eval.max_tokens=4")
        conditions = json.loads((run / "eval/results.json").read_text())[0]["tasks"]["all"]["conditions"]
        self.assertEqual(set(conditions), {"right", "shuffled", "removed"})
        self.assertLess(conditions["right"]["loss"]["mean"], conditions["removed"]["loss"]["mean"])
        self.assertEqual(done.stderr.count("videos.jsonl:17: skipped"), 1)

    def test_films(self):
        films = sorted(CLIPS.glob("*.m*"))
        if not films:
            self.skipTest("the films are not there: tools/demo/clips.py fetches them")
        for film in films:
            for sets in (["data.video.frames=3"], ["data.video.frames_per_second=0.5", "data.video.interleave=true", "model.streams.audio.encoder.length=clip"]):
                self.assertTrue(self.answers("--video", film, sets=["model.llm.max_positions=4096", *sets]).strip(), film)


if __name__ == "__main__":
    main()
