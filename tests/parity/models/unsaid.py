"""A slot that names PEFT's folder and nothing else: how the adapter was made is said there, by its configuration and its tensors."""
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, VeraConfig, get_peft_model
from transformers import LlamaForCausalLM

from . import tiny
from .decoders import model_table, rows_of
from .lora_forms import written_by

VIRTUAL = dict(task_type="CAUSAL_LM", num_virtual_tokens=5)
MADE = {
    "lora": [LoraConfig(r=3, lora_alpha=7, target_modules=["q_proj", "v_proj"]), LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules=["q_proj", "down_proj"], alpha_pattern={"q_proj": 3}),
             LoraConfig(r=4, target_modules=["q_proj", "down_proj"], rank_pattern={r".*layers\.0.*q_proj": 2}, layers_to_transform=[0, 2]), LoraConfig(r=4, use_rslora=True, target_modules=r".*\.1\..*(up|down)_proj"),
             LoraConfig(r=4, target_modules=["q_proj"], bias="lora_only"), LoraConfig(r=4, target_modules=["q_proj"], bias="all", modules_to_save=["lm_head"]), LoraConfig(r=4, target_modules="all-linear", exclude_modules=["k_proj"], modules_to_save=["lm_head"])],
    "ia3": [IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]), IA3Config(target_modules=["k_proj", "v_proj"], feedforward_modules=[], exclude_modules=[r"layers.1.self_attn.v_proj"])],
    "vera": [VeraConfig(r=6, d_initial=0.5, projection_prng_key=3, target_modules=["q_proj", "down_proj"])],
    "prompt_tuning": [PromptTuningConfig(**VIRTUAL)],
    "prefix_tuning": [PrefixTuningConfig(**VIRTUAL)],
    "ptuning": [PromptEncoderConfig(**VIRTUAL, encoder_hidden_size=12)],
}


def run(bench):
    folder, rows = bench.new_folder(), rows_of([9, 5, 14])
    tiny.llama(folder, attention_bias=True)
    for plugin, all_made in MADE.items():
        for i, config in enumerate(all_made):
            torch.manual_seed(11)
            model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), config).eval()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.requires_grad:
                        parameter.add_(0.1 * torch.randn(parameter.shape))
                theirs = torch.cat([model(input_ids=torch.tensor([row])).logits[0] for row in rows])
            mine = model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "{plugin}"\nweights = "{written_by(bench, model)}"\n'
            _, out = bench.ask("model", model=mine, ids=rows)
            bench.compare(f"{plugin}, as its folder says, {i}", {"logits": out["logits"]}, {"logits": theirs})
    choices(bench, folder)


def choices(bench, folder):
    """Layers are chosen alike for all methods: of three layers one has a third of the parameters, two have the rest."""
    def size(options):
        slot = f"[[llm.peft]]\n{options}\n" if options else ""
        return bench.ask("parameters", model=model_table(folder, trainable=False) + slot)[0]["parameters"]

    for plugin in ("ia3", "adapters", "parallel_adapters"):
        base, name = size(""), f'plugin = "{plugin}"\n'
        every, one, others = (size(name + more) - base for more in ("", "layers_to_transform = [1]", 'exclude_modules = ["model.layers.1.*"]'))
        bench.check(f"{plugin}: layers_to_transform and exclude_modules", 0 < 3 * one == every and others == 2 * one, f"{one} of {every}, {others} without")
