"""Small models of which is known what transformers 5.24 and peft 0.21 compute. Their random weights are drawn as LibTorch's
generator on the CPU draws them from a seed, so that they are the same wherever this runs; others have one answer to each
token. Standard library, numpy and safetensors."""
import json
import math

import make_tiny

MERGES = ("t h|a n|r e|Ġ th|o u|Ġ a|Ġ s|Ġ w|a t|e a|i c|i s|l a|o w|y ou|Ġ b|Ġ f|Ġ p|Ġ la|Ġ you|Ġth e|Ġw h|a y|b e|b ou|c h|c r|d o|d ay|e e|e l|e n|e r|g re|h ow|h el|i l|i n|i r|i be|j u|k e|"
          "l d|l o|l ea|m p|n ea|o r|o v|o x|o day|p ee|q u|r an|r ow|s e|s cr|t u|t oday|t ran|z y|Ġ an|Ġ re|Ġ is|Ġ do|Ġ gre|Ġ how|Ġ ju|Ġ nea|Ġ ov|Ġ qu|Ġ today|th e|an g|an k|Ġth is|Ġth ank|"
          "Ġa re|Ġa bou|Ġs at|Ġs pee|Ġs ang|Ġw or|ic k|ic tu|Ġb ir|Ġb row|Ġf in|Ġf ox|Ġp lea|Ġp ictu|Ġla ke|Ġla zy|Ġwh at|Ġwh il|hel lo|mp s|scr ibe|tran scribe|Ġan d|Ġre d|Ġdo g|Ġgre en|"
          "Ġju mps|Ġnea r|Ġov er|Ġqu ick|Ġabou t|Ġspee ch|Ġwor ld|Ġbir d|Ġbrow n|Ġfin e|Ġplea se|Ġpictu re|Ġwhil e").split("|")
PICTURES = ("{% for m in messages %}<|im_start|>{{ m.role + '\\n' }}{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}{{ '<image>\\n' if part.type == 'image' else part.text }}{% endfor %}{% endif %}"
            "<|im_end|>{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\\n' }}{% endif %}")


class Drawn(make_tiny.Weights):
    """at::normal_ and at::uniform_ of LibTorch's ATen/native/cpu/DistributionTemplates.h: a Mersenne twister of which 24 bits make
    a number, and 16 of those 16 normal ones, by Box and Muller. `skip`: numbers that were drawn before, for other things."""

    def __init__(self, seed, skip, std):
        import numpy

        self.numpy, self.twister, self.std, self.tensors = numpy, numpy.random.RandomState(seed), std, {}
        self.uniform(skip)

    def uniform(self, *shape):
        return (self.twister.randint(0, 2**32, shape, dtype="uint32") & 0xFFFFFF) * 2.0**-24

    def drawn(self, *shape):
        first, second = self.numpy.moveaxis(self.uniform(math.prod(shape) // 16, 2, 8), 1, 0)
        radius, angle = self.numpy.sqrt(-2 * self.numpy.log(1 - first)), 2 * math.pi * second
        return self.std * self.numpy.stack([radius * self.numpy.cos(angle), radius * self.numpy.sin(angle)], 1).reshape(shape)

    def normal(self, name, *shape, std=None):
        self.tensors[name] = self.drawn(*shape).astype("float32")

    def linear(self, name, rows, columns, bias=True):
        self.normal(name + ".weight", rows, columns)
        if bias:
            self.tensors[name + ".bias"] = self.numpy.zeros(rows, "float32")

    def norm(self, name, size, bias=True):
        self.tensors[name + ".weight"] = self.numpy.ones(size, "float32")
        if bias:
            self.tensors[name + ".bias"] = self.numpy.zeros(size, "float32")


def write_tokenizer(folder, merges, special, template, words=(), bos=None, eos="<|im_end|>"):
    """Bytes, the first so many of MERGES, control tokens, and words that are one token wherever they stand. Returns all ids by token."""
    make_tiny.copy_tokenizer(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    pairs = [pair.split(" ") for pair in MERGES[:merges]]
    vocabulary = {token: i for i, token in enumerate([*sorted(make_tiny.byte_alphabet().values()), *map("".join, pairs)])}
    tokenizer["model"].update(vocab=vocabulary, merges=pairs)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokenizer["added_tokens"] = [{"id": len(vocabulary) + i, "content": token, **flags, "special": token in special} for i, token in enumerate([*special, *words])]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos, "pad_token": special[0], "chat_template": template}))
    return {**vocabulary, **{token["content"]: token["id"] for token in tokenizer["added_tokens"]}}


def write_llama(folder, own_head=False):
    """`own_head`: config.json says that the head is the embedding, and the file has another one."""
    w = Drawn(11, 54144, 0.25)
    config = make_tiny.llama_tensors(w, "", 32, 1, vocab=303, inner=48)
    if own_head:
        w.tensors["lm_head.weight"] = Drawn(4, 0, 0.25).drawn(303, 32).astype("float32")
    make_tiny.write_model(folder, {**config, "rms_norm_eps": 1e-6, "tie_word_embeddings": own_head}, w.tensors)
    write_tokenizer(folder, 44, make_tiny.SPECIAL, make_tiny.TEMPLATE)


def write_llava(folder):
    """Stored in fp16, as transformers 5 saves a model and its processor: what is done to pictures stands in processor_config.json alone."""
    w = Drawn(5, 135952, 0.25)
    tower = make_tiny.tower_tensors(w, "vision_tower.", "clip", 16, 3, image_size=56, projections=("k_proj", "v_proj", "q_proj", "out_proj"))
    w.tensors["vision_tower.embeddings.class_embedding"] = Drawn(5, 25856, 0.25).drawn(16)
    w.tensors["vision_tower.embeddings.patch_embedding.weight"] *= 0.2
    w.std = 0.15
    w.linear("multi_modal_projector.linear_1", 32, 16)
    w.linear("multi_modal_projector.linear_2", 32, 32)
    text = {**make_tiny.llama_tensors(w, "language_model.", 32, 2, vocab=376), "rms_norm_eps": 1e-6}
    make_tiny.write_model(folder, {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "text_config": text, "vision_config": tower, "image_token_index": 375, "image_seq_length": 16,
                                   "projector_hidden_act": "gelu", "vision_feature_layer": -2, "vision_feature_select_strategy": "default", "tie_word_embeddings": False, "dtype": "float32"},
                          {name: tensor.astype("float16") for name, tensor in w.tensors.items()})
    write_tokenizer(folder, 116, [*make_tiny.SPECIAL, "<image>"], PICTURES)
    side = {"height": 56, "width": 56}
    pixels = {"image_processor_type": "CLIPImageProcessor", "crop_size": side, "size": {"shortest_edge": 56}, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
              "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "rescale_factor": 1 / 255}
    (folder / "processor_config.json").write_text(json.dumps({"processor_class": "LlavaProcessor", "image_processor": pixels, "image_token": "<image>", "patch_size": 14, "num_additional_image_tokens": 1,
                                                              "vision_feature_select_strategy": "default"}))


def write_picture(path):
    """Upright, of slow changes, with a box."""
    box = lambda x, y: 18 <= y < 45 and 40 <= x < 48
    path.write_bytes(make_tiny.png_of([[(200, 40, 30) if box(x, y) else (255 * y // 89, 255 * (59 - x) // 59, 255 * (y + 59 - x) // 148) for x in range(60)] for y in range(90)]))


def write_adapter(folder):
    """LoRA that peft put on the whole LLaVA, of which it has the names: factors as they begin, and changed by random numbers."""
    from safetensors.numpy import save_file

    w, tensors, begin, reach = Drawn(5, 0, 0.3), {}, 0, 2 / math.sqrt(32)
    for layer in range(2):
        for name, rows in [("q_proj", 32), ("v_proj", 16)]:
            at, begin = f"base_model.model.model.language_model.layers.{layer}.self_attn.{name}.lora_", begin + 128 + 4 * rows
            start = reach * (Drawn(7, begin, 1).uniform(4, 32) - 0.5)  # both factors were drawn before, and A once more
            tensors[at + "A.weight"], tensors[at + "B.weight"] = start + w.drawn(4, 32), w.drawn(rows, 4)
            begin += 128
    folder.mkdir(parents=True)
    save_file({name: tensor.astype("float32") for name, tensor in tensors.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "peft_version": "0.21.2", "task_type": None, "base_model_name_or_path": "model", "r": 4, "lora_alpha": 8, "init_lora_weights": True,
                                                            "target_modules": r".*language_model.*\.(q_proj|v_proj)", "bias": "none"}))


def write_chain(folder, special, words, follows, template, bos=None, eos="<|im_end|>", stop=None):
    """A Llama for which the next token depends on the last one alone, as `follows` says. `stop`: tokens that config.json names as ends."""
    w = Drawn(0, 0, 0)
    config = make_tiny.llama_tensors(w, "", 16, 1, vocab=270 + len(special) + len(words))
    folder.mkdir(parents=True)
    ids = write_tokenizer(folder, 14, special, template, words, bos, eos)
    for i, (token, following) in enumerate(follows.items()):
        w.tensors["model.embed_tokens.weight"][ids[token], i] = 1
        w.tensors["lm_head.weight"][ids[following], i] = 5
    make_tiny.write_model(folder, {**config, "eos_token_id": [ids[token] for token in stop or [eos]]}, w.tensors)
