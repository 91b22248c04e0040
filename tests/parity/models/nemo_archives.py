"""FastConformers in NeMo's archives: features as the same encoder's of transformers; what is not read is refused by name.

The archives are laid out as NeMo saves them (nemo/core/connectors/save_restore_connector.py), names and keys as
transformers' convert_nemo_to_hf.py takes them."""

import io
import re
import tarfile

import torch
import yaml

from . import tiny
from .salm_adapter import random_adapter

TO_NEMO = [(r"^subsampling\.layers\.", "pre_encode.conv."), (r"^subsampling\.linear\.", "pre_encode.out."), (r"\.conv\.norm\.", ".conv.batch_norm."), (r"\.([qkv])_proj\.", r".linear_\1."),
           (r"\.o_proj\.", ".linear_out."), (r"\.relative_k_proj\.", ".linear_pos."), (r"\.bias_([uv])$", r".pos_bias_\1")]


def nemo_name(name):
    for pattern, name_there in TO_NEMO:
        name = re.sub(pattern, name_there, name)
    return name


def configuration(config, **changes):
    preprocessor = {"_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor", "sample_rate": 16000, "normalize": "per_feature", "window_size": 0.025, "window_stride": 0.01, "window": "hann",
                    "features": config.num_mel_bins, "n_fft": 512, "log": True, "frame_splicing": 1, "dither": 1e-05, "pad_to": 0, "pad_value": 0.0}
    encoder = {"_target_": "nemo.collections.asr.modules.ConformerEncoder", "feat_in": config.num_mel_bins, "feat_out": -1, "n_layers": config.num_hidden_layers, "d_model": config.hidden_size, "use_bias": config.attention_bias,
               "subsampling": "dw_striding", "subsampling_factor": config.subsampling_factor, "subsampling_conv_channels": config.subsampling_conv_channels, "causal_downsampling": False, "reduction": None, "reduction_position": None,
               "reduction_factor": 1, "ff_expansion_factor": config.intermediate_size // config.hidden_size, "self_attention_model": "rel_pos", "n_heads": config.num_attention_heads, "att_context_size": [-1, -1],
               "att_context_style": "regular", "xscaling": config.scale_input, "untie_biases": True, "pos_emb_max_len": 5000, "conv_kernel_size": config.conv_kernel_size, "conv_norm_type": "batch_norm", "conv_context_size": None,
               "dropout": 0.1, "dropout_pre_encoder": 0.1, "dropout_emb": 0.0, "dropout_att": 0.1, "stochastic_depth_drop_prob": 0.0, "stochastic_depth_mode": "linear", "stochastic_depth_start_layer": 1}
    for key, value in changes.items():
        part, key = key.split("__")
        table = {"encoder": encoder, "preprocessor": preprocessor}[part]
        table[key] = value
    return {"sample_rate": 16000, "labels": ["<unk>", "▁t", "'", "null"], "preprocessor": preprocessor, "encoder": encoder, "decoder": {"_target_": "nemo.collections.asr.modules.ConvASRDecoder", "num_classes": 4},
            "optim": {"name": "adamw", "betas": [0.9, 0.98], "sched": {"name": "CosineAnnealing"}}}


def tensors(model, prefix="encoder.", others=("decoder.decoder_layers.0.weight", "decoder.decoder_layers.0.bias")):
    state = {"preprocessor.featurizer.window": torch.hann_window(400), "preprocessor.featurizer.fb": torch.ones(1, 80, 257)}
    state |= {prefix + nemo_name(name): tensor for name, tensor in model.state_dict().items()}
    return state | {name: torch.ones(3) for name in others}


def archive(path, config, state, mode="w", prefix="./"):
    weights = io.BytesIO()
    torch.save(state, weights)
    with tarfile.open(path, mode) as tar:
        for name, content in [("model_config.yaml", yaml.safe_dump(config, allow_unicode=True, sort_keys=False).encode()), ("0d1_tokenizer.model", b"\x0a\x00"), ("model_weights.ckpt", weights.getvalue())]:
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def adapters(bench):
    """What is between SALM's encoder and its language model: a Conformer adapter with a layer, or a layer alone."""
    generator = torch.Generator().manual_seed(15)
    folder = bench.new_folder()
    model = tiny.fastconformer(folder, intermediate_size=96).float()
    whole, count_in, count_out = configuration(model.config), 48, 20
    settings = {"_target_": "nemo.collections.asr.modules.ConformerEncoder", "feat_in": count_in, "feat_out": -1, "n_layers": 2, "d_model": 16, "subsampling": "dw_striding", "subsampling_factor": 1, "subsampling_conv_channels": 256,
                "causal_downsampling": False, "ff_expansion_factor": 4, "self_attention_model": "rel_pos", "n_heads": 2, "att_context_size": [-1, -1], "xscaling": True, "untie_biases": True, "pos_emb_max_len": 5000, "conv_kernel_size": 5,
                "conv_norm_type": "batch_norm", "dropout": 0.1, "dropout_pre_encoder": 0.1, "dropout_emb": 0.0, "dropout_att": 0.1}
    adapter = random_adapter(generator, count_in, count_out, 16, 2, 2, 5).eval()
    there = {"in_proj.": "perception.modality_adapter.pre_encode.", "out_proj.": "perception.proj.", "layers.": "perception.modality_adapter.layers."}
    state = {}
    for name, value in adapter.state_dict().items():
        first, rest = name.split(".", 1)
        state[there[first + "."] + nemo_name("." + rest)[1:]] = value
    encoder = tensors(model, "perception.encoder.", others=())

    def salm(name, settings, state):
        config = {"perception": {"encoder": whole["encoder"], "preprocessor": whole["preprocessor"], "modality_adapter": settings, "output_dim": count_out}, "language_model_path": "llama.nemo"}
        return archive(folder / f"{name}.nemo", config, encoder | state)

    def ask(path, **how):
        return bench.ask("connector", {"x": x}, weights=path, input_size=count_in, output_size=count_out, rows=1, columns=11, **how)[1]["y"]

    x = torch.randn(2, 11, count_in, generator=generator)
    path = salm("adapter", settings, state)
    bench.compare("parakeet_encoder: SALM's adapter", {"y": ask(path, plugin="conformer", part="modality_adapter")}, {"y": adapter([*x]).view(2, 11, count_out)})
    inputs = torch.randn(1, 77, 80, generator=generator)
    _, out = bench.ask("encoder", {"x": inputs}, plugin="fastconformer", weights=path)
    bench.compare("fastconformer beside SALM's adapter", {"y": out["y"]}, {"y": model(inputs).last_hidden_state})
    layer = {name: value for name, value in state.items() if ".proj." in name}
    layer["perception.proj.weight"] = torch.randn(count_out, count_in, generator=generator)
    alone = salm("alone", {"_target_": "nemo.collections.speechlm2.modules.perception.IdentityConnector", "d_model": count_in}, layer)
    bench.compare("parakeet_encoder: SALM's layer without an adapter", {"y": ask(alone, plugin="linear", part="modality_adapter")}, {"y": x @ layer["perception.proj.weight"].T + layer["perception.proj.bias"]})

    def refused(case, word, path, **how):
        bench.refused(case, word, "connector", inputs={"x": x}, weights=path, input_size=count_in, output_size=count_out, rows=1, columns=11, **how)

    refused("parakeet_encoder refuses an adapter as a layer alone", "0 of 2 parameters", path, plugin="linear", part="modality_adapter")
    refused("parakeet_encoder refuses a layer alone as an adapter", "_target_", alone, plugin="conformer", part="modality_adapter")
    refused("parakeet_encoder refuses an adapter that is not there", "modality_adapter", archive(folder / "none.nemo", whole, tensors(model)), plugin="conformer", part="modality_adapter")
    refused("parakeet_encoder refuses a part that is not there", "its parts: modality_adapter, language_model", path, plugin="conformer", part="adapter")
    for key, value in [("subsampling_factor", 2), ("self_attention_model", "rel_pos_local_attn"), ("conv_norm_type", "layer_norm"), ("use_bias", False), ("_target_", "x.Qformer"), ("n_experts", 4), ("d_model", 0), ("n_layers", None), ("att_context_size", [4, 0])]:
        refused(f"parakeet_encoder refuses modality_adapter.{key} = {value}", key, salm("changed", {**settings, key: value}, state), plugin="conformer", part="modality_adapter")


def run(bench):
    adapters(bench)
    generator = torch.Generator().manual_seed(12)
    for case, changes in [("parakeet", {}), ("no biases, 128 bands, factor 4", dict(attention_bias=False, convolution_bias=False, num_mel_bins=128, subsampling_factor=4, scale_input=False))]:
        folder = bench.new_folder()
        model = tiny.fastconformer(folder, intermediate_size=96, **changes).float()
        x = torch.randn(1, 77, changes.get("num_mel_bins", 80), generator=generator)
        expected = model(x).last_hidden_state
        whole = configuration(model.config)
        salm = {"perception": {"encoder": whole["encoder"], "preprocessor": whole["preprocessor"], "modality_adapter": {"_target_": "x"}}, "language_model_path": "llama.nemo"}
        canary = ("transf_decoder._decoder.layers.0.weight", "log_softmax.mlp.layer0.weight", "encoder_decoder_proj.weight")
        for name, config, state in [("CTC", whole, tensors(model)), ("Canary", whole, tensors(model, others=canary)), ("SALM", salm, tensors(model, "perception.encoder.", ("perception.proj.weight", "model.layers.0.weight")))]:
            path = archive(folder / f"{name}.nemo", config, state)
            _, out = bench.ask("encoder", {"x": x}, plugin="fastconformer", weights=path)
            bench.compare(f"fastconformer of an archive, {case}: {name}", {"y": out["y"]}, {"y": expected})

    folder = bench.new_folder()
    model = tiny.fastconformer(folder, intermediate_size=96).float()
    inputs = {"x": torch.zeros(1, 16, 80)}

    def refused(case, word, path):
        bench.refused(case, word, "encoder", inputs=inputs, plugin="fastconformer", weights=path)

    changes = dict(encoder__subsampling="striding", encoder__self_attention_model="rel_pos_local_attn", encoder__att_context_size=[70, 13], encoder__att_context_style="chunked_limited", encoder__conv_norm_type="layer_norm",
                   encoder__untie_biases=False, encoder__causal_downsampling=True, encoder__conv_context_size="causal", encoder__reduction="striding", encoder__feat_out=128, encoder__d_model="wide", preprocessor__normalize="all_features",
                   preprocessor__window="hamming", preprocessor__log=False, preprocessor__frame_splicing=2)
    for key, value in changes.items():
        path = archive(folder / "changed.nemo", configuration(model.config, **{key: value}), tensors(model))
        refused(f"fastconformer refuses {key} = {value}", key.replace("__", "."), path)
    for key, value, word in [("encoder__n_experts", 4, "keys that are not known: n_experts"), ("encoder___target_", "nemo.collections.asr.modules.SqueezeformerEncoder", "SqueezeformerEncoder"), ("preprocessor__sample_rate", 8000, "sampling_rate"),
                             ("preprocessor__window_size", 0.02, "win_length"), ("encoder__conv_kernel_size", 10 ** 9, "conv_kernel_size"), ("preprocessor__n_window_size", 400, "n_window_size"), ("preprocessor__log_zero_guard_value", 1e-5, "log_zero_guard_value")]:
        refused(f"fastconformer refuses {key} = {value}", word, archive(folder / "changed.nemo", configuration(model.config, **{key: value}), tensors(model)))
    good = configuration(model.config)
    missing = tensors(model)
    del missing["encoder.layers.1.norm_out.weight"]
    refused("fastconformer refuses an archive without a tensor", "norm_out.weight", archive(folder / "missing.nemo", good, missing))
    refused("fastconformer refuses an archive without an encoder's tensors", "none of its", archive(folder / "none.nemo", good, {"decoder.weight": torch.ones(2)}))
    refused("fastconformer refuses a compressed archive", "gunzip", archive(folder / "packed.nemo", good, tensors(model), mode="w:gz"))
    refused("fastconformer refuses an archive of another model", "no 'encoder'", archive(folder / "other.nemo", {"model": {"layers": 3}}, tensors(model)))
    refused("fastconformer refuses what is not YAML", "model_config.yaml:", mangled(folder / "yaml.nemo"))
    (folder / "text.nemo").write_text("no archive")
    refused("fastconformer refuses what is not an archive", "text.nemo", folder / "text.nemo")
    whole = archive(folder / "whole.nemo", good, tensors(model)).read_bytes()
    for cut in (0, 100, 600, 2000, len(whole) // 2):
        (folder / "cut.nemo").write_bytes(whole[:cut])
        refused(f"fastconformer refuses the first {cut} bytes", "cut.nemo", folder / "cut.nemo")


def mangled(path):
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("model_config.yaml")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"a: ["))
    return path
