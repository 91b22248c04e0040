"""Recordings with several channels: a run on one of them is that on files of this channel alone."""

import json
import random
import struct
import wave

import make_tiny
from formats import Formats
from harness import losses, main, records, sets

COUNT = 4
SHORT = sets(train__steps=3, train__tokens_per_batch=512, train__checkpoint_every=3)


def samples_of(path):
    with wave.open(str(path), "rb") as file:
        return struct.unpack(f"<{file.getnframes()}h", file.readframes(file.getnframes()))


class Channels(Formats):
    def setUp(self):
        """0.wav … of two channels, and of each channel alone 0_0.wav, 0_1.wav …"""
        super().setUp()
        for number in range(COUNT):
            for channel in range(2):
                make_tiny.write_wav(self.data / f"{number}_{channel}.wav", 200 + 150 * number + 1000 * channel, random.Random(number), seconds=0.5)
            both = zip(*(samples_of(self.data / f"{number}_{channel}.wav") for channel in range(2)), strict=True)
            with wave.open(str(self.data / f"{number}.wav"), "wb") as out:
                out.setnchannels(2), out.setsampwidth(2), out.setframerate(16000)
                out.writeframes(b"".join(struct.pack("<2h", *pair) for pair in both))

    def manifest(self, name, suffix=""):
        """Pieces of all recordings."""
        return self.write(name, [{"audio_filepath": f"{number}{suffix}.wav", "offset": 0.1, "duration": 0.3, "text": "low" if number % 2 else "high"} for number in range(COUNT)])

    def losses_of(self, path, *args, name="run"):
        run = self.data / name
        self.train(run, *SHORT, *args, config=self.config_for(path))
        self.assertEqual(records(run / "metrics.jsonl")[-1]["train/bad_samples"], 0)
        return losses(run)

    def test_pieces_and_features(self):
        stereo = self.manifest("stereo.jsonl")
        cache = sets(data__feature_cache=self.data / "features")
        found = {}
        for channel in ("mean", 0, 1):
            found[channel] = self.losses_of(stereo, *cache, *sets(data__audio__channel=channel), name=f"stereo_{channel}")
        self.assertNotIn(found["mean"], (found[0], found[1]))
        for channel in (0, 1):
            self.assertEqual(found[channel], self.losses_of(self.manifest(f"mono_{channel}.jsonl", f"_{channel}"), name=f"mono_{channel}"))
        self.assertEqual(found["mean"], self.losses_of(stereo, name="plain"))
        done = self.train(self.data / "stereo_1", "--resume", *SHORT, *sets(train__steps=4, data__audio__channel=0), config=self.config_for(stereo), code=4)
        self.assertIn("channel 1 of sounds; now", done.stderr)

    def test_cuts(self):
        """The channel that a cut names comes before that of the configuration."""
        def cut(number, source, **more):
            return {"id": f"cut-{number}", "start": 0.1, "duration": 0.3, "supervisions": [{"id": "s", "recording_id": "r", "start": 0.0, "duration": 0.3, "text": "low"}],
                    "recording": {"id": "r", "sources": [{"type": "file", **source}], "sampling_rate": 16000, "num_samples": 8000, "duration": 0.5}, "type": "MonoCut", **more}

        several = self.write("several.jsonl", [cut(number, {"channels": [0, 1], "source": f"{number}.wav"}, channel=1) for number in range(COUNT)])
        alone = self.write("alone.jsonl", [cut(number, {"channels": [1], "source": f"{number}_1.wav"}, channel=1) for number in range(COUNT)])
        self.assertEqual(self.losses_of(several, *sets(data__audio__channel=0), name="several"), self.losses_of(alone, name="alone"))
        done = self.call("data", "convert", several, self.data / "written.jsonl", threads=None, code=3)
        self.assertIn("channel 1 of", done.stderr)

    def test_too_few(self):
        path = self.write("mixed.jsonl", [{"audio_filepath": name, "text": "low"} for name in ("0.wav", "1_0.wav", "2.wav", "3.wav")])
        run = self.data / "mixed"
        self.train(run, *SHORT, *sets(data__audio__channel=1, data__max_bad_fraction=1), config=self.config_for(path))
        bad = records(run / "bad_samples.jsonl")
        self.assertEqual([one["line"] for one in bad], [2])
        self.assertIn("1_0.wav", bad[0]["reason"])
        self.assertIn("channel 1 of the sound was asked for, counted from 0; it has 1", bad[0]["reason"])
        checked = json.loads(self.call("data", "check", self.config_for(path), *sets(data__audio__channel=1), "--json", code=3).stdout)["sources"][0]
        self.assertEqual((checked["samples"], checked["bad"]), (4, 1))
        for wrong in ('"left"', 8, -1, 0.5):
            self.assertIn('expected "mean" or a number from 0 to 7', self.train(run, *sets(data__audio__channel=wrong), code=2).stderr)


if __name__ == "__main__":
    main()
