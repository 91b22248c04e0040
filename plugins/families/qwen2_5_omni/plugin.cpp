// Qwen2.5-Omni's thinker (Xu et al. 2025; transformers: models/qwen2_5_omni) as a composition: Qwen2.5-VL's tower and
// decoder, and a tower for sounds. It is found alone, or in a directory of the whole model, beside the talker and what
// makes waves of its codes: these are not read.
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/component/family_parts.h>
#include <antiphon/component/grid_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>
#include <antiphon/weights/checkpoint.h>

namespace antiphon::qwen2_5_omni {
namespace {

using config::Value;
using nlohmann::json;

constexpr const char* kThinker = "qwen2_5_omni_thinker";

const ForeignKeys& thinker_keys() {
  static const auto* keys = new ForeignKeys(common_keys().with(
      {.other = {"audio_config",        "vision_config",        "text_config",        "audio_token_index",
                 "image_token_index",   "video_token_index",    "audio_token_id",     "image_token_id",
                 "video_token_id",      "audio_start_token_id", "audio_end_token_id", "vision_start_token_id",
                 "vision_end_token_id", "vision_token_id",      "user_token_id",      "position_id_per_seconds",
                 "seconds_per_chunk",   "tie_word_embeddings",  "ignore_index",       "init_std",
                 "vocab_size"}}));
  return *keys;
}

class Thinker : public ModelFamily {
 public:
  // `prefix`: before the names in the file, "thinker." in a directory of the whole model.
  explicit Thinker(std::string prefix = {}) : prefix_(std::move(prefix)) {}
  std::vector<WholePart> parts() const override;
  JsonTable current(const JsonTable& config) const override;
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value& model, json& config) const override;

 private:
  std::string prefix_;
};

// Names as files on disk have them, then as transformers 5 has them in memory. What came out of a whole model's
// directory keeps its prefix; those without stand last again, since the thinker's class has none.
std::vector<WholePart> Thinker::parts() const {
  GridRules seen;
  std::vector<NameRule> ears, projection;
  const auto prefixes = prefix_.empty() ? std::vector<std::string>{"", "thinker.", ""} : std::vector{prefix_};
  for (const auto& prefix : prefixes) {
    seen.add_text(prefix);
    for (const std::string& before : {prefix, prefix + "model."}) {
      seen.add_tower(before + "visual.");
      for (const std::string module : {"conv1", "conv2", "layers", "ln_post"})
        ears.push_back({before + "audio_tower." + module + ".{}", module + ".{}"});
      projection.push_back({before + "audio_tower.proj.{}", "{}"});
    }
  }
  return {{"language_model", "llm", "text_config", seen.text},
          {"vision_tower", "streams.image.encoder", "vision_config", seen.tower},
          {"merger", "streams.image.connector", "", seen.merger},
          {"audio_tower", "streams.audio.encoder", "audio_config", ears},
          {"audio_projection", "streams.audio.connector", "", projection}};
}

// The thinker's table. Whether its head is tied, the thinker says and not the text model.
JsonTable Thinker::current(const JsonTable& config) const {
  auto thinker = config;
  if (!prefix_.empty()) {
    if (!config.table("thinker_config").exists()) config.refuse("thinker_config", "a table");
    auto own = config.table("thinker_config").json();
    own["architectures"] = json::array({"Qwen2_5OmniThinkerForConditionalGeneration"});
    own["model_type"] = kThinker;
    for (const char* key : {"torch_dtype", "dtype", "quantization_config"})
      if (const auto* value = config.find(key); value && !own.contains(key)) own[key] = *value;
    thinker = JsonTable(std::move(own), config.file());
  }
  const auto text = thinker.table("text_config");
  if (!text.exists()) return thinker;
  const bool tied = thinker.flag("tie_word_embeddings", false);
  return thinker.with("text_config", text.with("tie_word_embeddings", tied).json());
}

Value Thinker::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  check_keys(config, thinker_keys());
  if (const auto others = prefix_.empty() ? 0 : weights::tensors_outside(directory, "thinker."))
    log::info(fmt::format("{}: {} tensors of the talker and of what makes waves of its codes are not read", directory,
                          others));
  const auto slot = [&](const std::string& plugin, const char* part) { return part_slot(plugin, directory, part); };
  const auto reading = [&](const char* kind, const char* key) { return plugin_reading(kind, config, key); };
  auto seeing = slot(reading("encoder", "vision_config"), "vision_tower");
  seeing.emplace("tokens_per_second", config.number("position_id_per_seconds", 25, 0, 1e4));
  seeing.emplace("seconds_per_chunk", config.number("seconds_per_chunk", 2, 0, 1e4));
  const auto tower = config.table("vision_config");
  auto merger = grid_merger(tower, tower.integer("hidden_size", 3584, 1, 1 << 20), directory, "rms_norm");
  Value::Table image{{"placeholder", "<|IMAGE|>"},     {"video_placeholder", "<|VIDEO|>"},
                     {"sound_begin", "<|audio_bos|>"}, {"sound_end", "<|audio_eos|>"},
                     {"encoder", std::move(seeing)},   {"connector", std::move(merger)}};
  Value::Table audio{{"placeholder", "<|AUDIO|>"},
                     {"encoder", slot(reading("encoder", "audio_config"), "audio_tower")},
                     {"connector", slot("linear", "audio_projection")}};
  return Value::Table{{"llm", slot(reading("language_model", "text_config"), "language_model")},
                      {"streams", Value::Table{{"image", std::move(image)}, {"audio", std::move(audio)}}}};
}

void Thinker::describe(const Value& model, json& config) const {
  write_whole_number(model, "streams.image.encoder.tokens_per_second", "position_id_per_seconds", config);
  write_whole_number(model, "streams.image.encoder.seconds_per_chunk", "seconds_per_chunk", config);
}

struct InWhole : Thinker {
  InWhole() : Thinker("thinker.") {}
};

}  // namespace
}  // namespace antiphon::qwen2_5_omni

ANTIPHON_PLUGIN(qwen2_5_omni, "0.1.0") {
  using namespace antiphon::qwen2_5_omni;
  antiphon::register_component<antiphon::ModelFamily, Thinker>(registrar, kThinker, "Qwen2.5-Omni's thinker");
  antiphon::register_component<antiphon::ModelFamily, InWhole>(registrar, "qwen2_5_omni",
                                                               "the thinker of Qwen2.5-Omni's directories");
}
