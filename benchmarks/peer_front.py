"""What a worker of a DataLoader does with sound and pictures: transformers' processors, and torchaudio. The pair of
`antiphon_bench mel` and `antiphon_bench pictures`."""

from peer_common import arguments, emit, repeat, torch_with, use_bench_packages

use_bench_packages()
parser = arguments(__doc__)
parser.add_argument("--what", required=True, choices=["mel", "pictures"])
parser.add_argument("--batch", type=int, default=8)
a = parser.parse_args()
torch = torch_with(a.threads)
import numpy as np
import transformers

chance = np.random.default_rng(0)


def mel():
    import torchaudio

    extractor, sound = transformers.WhisperFeatureExtractor(), (0.1 * chance.standard_normal(30 * 16000)).astype(np.float32)
    spectrogram, wave = torchaudio.transforms.MelSpectrogram(16000, 400, hop_length=160, n_mels=80, norm="slaney", mel_scale="slaney"), torch.from_numpy(sound)

    def whisper():
        return extractor(sound, sampling_rate=16000, return_tensors="pt")["input_features"]

    def with_torchaudio():
        """Up to Whisper's own scale; a frame more, which Whisper drops."""
        log = spectrogram(wave)[:, :-1].clamp(min=1e-10).log10()
        return (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0

    assert (whisper()[0] - with_torchaudio()).abs().max() < 1e-3, "the two make different spectrograms"
    emit("mel", {"outputs": whisper().numel()}, {"whisper_s": repeat(whisper, a.warmup, a.reps), "torchaudio_s": repeat(with_torchaudio, a.warmup, a.reps)})


def pictures():
    from PIL import Image

    items = [Image.fromarray(chance.integers(0, 255, (480, 640, 3), dtype=np.uint8)) for _ in range(a.batch)]
    samples = {}
    for key, name in (("torchvision_per_s", "CLIPImageProcessor"), ("pil_per_s", "CLIPImageProcessorPil")):
        processor = getattr(transformers, name)()
        walls = repeat(lambda: processor(images=items, return_tensors="pt"), a.warmup, a.reps)
        samples[key] = [a.batch / wall for wall in walls]
    emit("pictures", {"batch": a.batch, "outputs": processor(images=items, return_tensors="pt")["pixel_values"].numel()}, samples)


{"mel": mel, "pictures": pictures}[a.what]()
