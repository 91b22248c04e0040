#include <antiphon/model/model_spec.h>

#include <algorithm>

#include <antiphon/config/keys.h>
#include <antiphon/model/slot.h>

namespace antiphon::model {
namespace {

constexpr const char* kPartDoc =
    "which part of a whole model's directory `weights` is meant, such as vision_tower; empty: all of it";

config::Table<ComponentSpec> slot(const std::string& name, const std::string& weights_doc) {
  using S = ComponentSpec;
  auto table = config::Table<S>(name)
                   .field("plugin", &S::plugin, "name of the component, see `antiphon inspect`", {.required = true})
                   .field("weights", &S::weights, weights_doc);
  return table;
}

const config::Table<ComponentSpec>& peft_slot() {
  static const auto* table = [] {
    auto* t = new config::Table<ComponentSpec>(
        slot("peft", "a PEFT adapter directory or the folder of a run to start from; empty: fresh"));
    t->field("name", &ComponentSpec::name,
             "by which --adapter and, in `antiphon chat`, /adapter choose it; empty: it is always in use")
        .field("frozen", &ComponentSpec::frozen, "it stays as `weights` gives it while others are trained")
        .field("only", &ComponentSpec::only,
               "which tokens of the language model its adapters change: embeddings of media alone, or text alone",
               {.choices = {"all", "media", "text"}})
        .rest(&ComponentSpec::options);
    return t;
  }();
  return *table;
}

const config::Table<ComponentSpec>& connector_slot() {
  static const auto* table = [] {
    auto* t = new config::Table<ComponentSpec>(slot("connector",
                                                    "a .safetensors file of a trained connector, a whole model's "
                                                    "directory, or the folder of a run; empty: random"));
    t->field("part", &ComponentSpec::part, kPartDoc);
    t->field("trainable", &ComponentSpec::trainable, "train its parameters")
        .tables("peft", &ComponentSpec::peft, peft_slot(), "adapters on its sites")
        .rest(&ComponentSpec::options);
    return t;
  }();
  return *table;
}

const config::Table<LanguageModelSpec>& llm_table() {
  using S = LanguageModelSpec;
  static const auto* table = new config::Table<S>(
      config::Table<S>("llm")
          .field("plugin", &S::plugin, "name of the component, see `antiphon inspect`", {.required = true})
          .field("weights", &S::weights,
                 "a Hugging Face directory, a .gguf file, or the folder of a run; empty: random")
          .field("part", &S::part, kPartDoc)
          .field(
              "tokenizer", &S::tokenizer,
              "directory with tokenizer.json, tokenizer.model or *.tiktoken, or a .gguf file; empty: that of `weights`")
          .field("chat_template", &S::chat_template, "a Jinja file; empty: that of the tokenizer's directory")
          .field("template_variables", &S::template_variables,
                 "a table of what the chat template takes besides: { enable_thinking = false }")
          .field("trainable", &S::trainable, "train its own parameters")
          .tables("peft", &S::peft, peft_slot(), "adapters on its sites")
          .rest(&S::options));
  return *table;
}

const config::Table<StreamSpec>& stream_table() {
  using S = StreamSpec;
  static const auto* table = new config::Table<S>(
      config::Table<S>("stream")
          .field("enabled", &S::enabled, "false drops a stream that an extended file composes")
          .field(
              "placeholder", &S::placeholder,
              "the token that the chat template writes for an item (\"<image>\"); empty: the template is not told, and "
              "embeddings stand where the item stands in the text")
          .field("video_placeholder", &S::video_placeholder,
                 "the same of a video (\"<|video_pad|>\"), for encoders that take videos as items")
          .field("begin", &S::begin,
                 "text before the embeddings of an item, in place of the placeholder, as the model's processor writes "
                 "it; its special tokens are tokens")
          .field("end", &S::end, "the same after them")
          .field("row_break", &S::row_break,
                 "the token after each row of an item's embeddings but the last (\"[IMG_BREAK]\"); empty: none")
          .field(
              "part_end", &S::part_end,
              "text after the embeddings of each part of an item, such as a tile, which becomes tokens by itself, as "
              "a text of its own does")
          .field("part_break", &S::part_break, "the same between parts, after part_end, as the middle of a text")
          .field("sound_begin", &S::sound_begin,
                 "the token before a video that has its sound among its embeddings (\"<|audio_bos|>\"), see "
                 "data.video.interleave")
          .field("sound_end", &S::sound_end, "the token after it")
          .field("tile_begin", &S::tile_begin,
                 "text before the embeddings of a tile of a picture, \"{row}\" and \"{column}\" in it being its place, "
                 "from 1; with any of these four texts the whole picture stands after its tiles, and what lies between "
                 "two parts becomes tokens by itself")
          .field("tile_row_end", &S::tile_row_end, "text after those of a row of tiles")
          .field("tiles_end", &S::tiles_end, "text after all tiles, behind that of the last row")
          .field("whole_begin", &S::whole_begin, "text before those of the whole picture, in tiles or not")
          .field("encoder", &S::encoder,
                 "a component {plugin, weights, trainable, peft, …}, or a list of them whose features are joined",
                 {.required = true})
          .table("connector", &S::connector, connector_slot(), "what maps its features to embeddings",
                 {.required = true}));
  return *table;
}

}  // namespace

bool ModelSpec::has_placeholders() const {
  return std::any_of(streams.begin(), streams.end(), [](const auto& stream) {
    return !stream.second.placeholder.empty() || !stream.second.video_placeholder.empty();
  });
}

const config::Table<ComponentSpec>& frozen_slot() {
  static const auto* table = [] {
    auto* t = new config::Table<ComponentSpec>(
        slot("encoder", "a Hugging Face directory, or the folder of a run; empty: random"));
    t->field("part", &ComponentSpec::part, kPartDoc);
    t->field("trainable", &ComponentSpec::trainable, "train its parameters")
        .tables("peft", &ComponentSpec::peft, peft_slot(), "adapters on its sites")
        .rest(&ComponentSpec::options);
    return t;
  }();
  return *table;
}

const config::Table<ComponentSpec>& head_slot() {
  using S = ComponentSpec;
  static const auto* table = new config::Table<S>(
      config::Table<S>("head")
          .field("plugin", &S::plugin, "name of the component, see `antiphon inspect`; empty: no head")
          .field("weights", &S::weights, "a Hugging Face directory, or the folder of a run; empty: random")
          .field("part", &S::part, kPartDoc)
          .field("trainable", &S::trainable, "train its parameters")
          .rest(&S::options));
  return *table;
}

const config::Table<ComponentSpec>& objective_slot() {
  using S = ComponentSpec;
  static const auto* table =
      new config::Table<S>(config::Table<S>("objective")
                               .field("plugin", &S::plugin, "name of the component, see `antiphon inspect`")
                               .rest(&S::options));
  return *table;
}

const config::Table<ComponentSpec>& voice_activity_slot() {
  using S = ComponentSpec;
  static const auto* table =
      new config::Table<S>(config::Table<S>("vad")
                               .field("plugin", &S::plugin, "a voice activity detector; empty: turns end by command")
                               .field("weights", &S::weights, "its directory")
                               .rest(&S::options));
  return *table;
}

std::vector<std::string> slot_keys(const std::string& kind) {
  if (kind == "language_model") return config::keys_of(llm_table());
  if (kind == "encoder") return config::keys_of(frozen_slot());
  if (kind == "connector") return config::keys_of(connector_slot());
  if (kind == "head") return config::keys_of(head_slot());
  if (kind == "peft") return config::keys_of(peft_slot());
  if (kind == "objective") return config::keys_of(objective_slot());
  if (kind == "optimizer") return {"name", "lr", "weight_decay"};  // train/options.h
  if (kind == "reward") return {"plugin", "weight"};               // train/options.h
  if (kind == "voice_activity") return config::keys_of(voice_activity_slot());
  return {};
}

const config::Table<ModelSpec>& model_table() {
  using S = ModelSpec;
  static const auto* table = new config::Table<S>(
      config::Table<S>("model")
          .field(
              "from", &S::from,
              "a Hugging Face directory of a whole model (LLaVA, Qwen2-Audio, Qwen2.5-VL, Gemma 3, Llama), or a .gguf "
              "file of a language model: stands for what `antiphon compose` prints; the other keys win")
          .field("graph", &S::graph, "how the parts are put together",
                 {.choices = {"multimodal_lm", "reward_model", "dual_encoder"}})
          .table("llm", &S::llm, llm_table(), "the language model", {.required = true})
          .map("streams", &S::streams, stream_table(), "media -> encoder -> connector -> embeddings, by name")
          .table("head", &S::head, head_slot(),
                 "what graph = \"reward_model\" reads a sequence's numbers with, off its last hidden state, and what "
                 "\"dual_encoder\" compares a text with a medium by")
          .field("freeze", &S::freeze,
                 "parameters of trained parts that stay as they are, by globs over their names, as train.groups.match: "
                 "\"llm/*embed_tokens*\", \"streams.image.encoder/*layers.?.*\""));
  return *table;
}

}  // namespace antiphon::model
