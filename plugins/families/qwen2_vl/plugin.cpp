// Qwen2-VL (Wang et al. 2024; transformers: models/qwen2_vl) and Qwen2.5-VL (Bai et al. 2025; models/qwen2_5_vl) as
// compositions: a vision transformer over pictures of any size, a merger of squares of its vectors, and Qwen2 that
// places them by row and column.
#include <antiphon/component/family_parts.h>
#include <antiphon/component/grid_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen2_vl {
namespace {

using config::Value;
using nlohmann::json;

// Of the whole model in old files, where the language model's keys stand beside them.
constexpr const char* kOfTheWhole[] = {"architectures",       "model_type",        "vision_config",
                                       "image_token_id",      "video_token_id",    "vision_start_token_id",
                                       "vision_end_token_id", "vision_token_id",   "transformers_version",
                                       "tie_word_embeddings", "torch_dtype",       "dtype",
                                       "quantization_config", "compression_config"};

const ForeignKeys& whole_keys() {
  static const auto* keys = new ForeignKeys(common_keys().with(
      {.other = {"text_config", "vision_config", "image_token_id", "video_token_id", "vision_start_token_id",
                 "vision_end_token_id", "vision_token_id", "vocab_size", "tie_word_embeddings"}}));
  return *keys;
}

class Qwen2Vl : public ModelFamily {
 public:
  // `name`: the model_type; `norm`: of the merger.
  Qwen2Vl(std::string name, std::string norm) : name_(std::move(name)), norm_(std::move(norm)) {}
  std::vector<WholePart> parts() const override;
  JsonTable current(const JsonTable& config) const override;
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value&, json&) const override {}

 private:
  std::string name_, norm_;
};

std::vector<WholePart> Qwen2Vl::parts() const {
  GridRules rules;
  rules.add_text("");
  for (const char* prefix : {"visual.", "model.visual."}) rules.add_tower(prefix);
  return {{"language_model", "llm", "text_config", rules.text},
          {"vision_tower", "streams.image.encoder", "vision_config", rules.tower},
          {"merger", "streams.image.connector", "", rules.merger}};
}

// Up to transformers 4.51 the language model's keys stand beside those of the whole, and the tower's table does not say
// what it is, or says the whole's type.
JsonTable Qwen2Vl::current(const JsonTable& config) const {
  auto out = config;
  const auto tower = config.table("vision_config");
  if (const auto type = tower.text("model_type", name_); tower.exists() && type == name_)
    out = out.with("vision_config", tower.with("model_type", name_ + "_vision").json());
  if (config.find("text_config")) return out;
  auto whole = json::object(), text = out.json();
  for (const char* key : kOfTheWhole) {
    if (const auto found = text.find(key); found != text.end()) whole[key] = *found;
    text.erase(key);
  }
  text["model_type"] = name_ + "_text";
  whole["text_config"] = std::move(text);
  return JsonTable(std::move(whole), config.file());
}

Value Qwen2Vl::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  check_keys(config, whole_keys());
  const auto slot = [&](const std::string& plugin, const char* part) { return part_slot(plugin, directory, part); };
  auto llm = slot(plugin_reading("language_model", config, "text_config"), "language_model");
  auto encoder = slot(plugin_reading("encoder", config, "vision_config"), "vision_tower");
  const bool first = name_ == "qwen2_vl";
  const auto tower = config.table("vision_config");
  const int64_t width = tower.integer(first ? "embed_dim" : "hidden_size", first ? 1280 : 3584, 1, 1 << 20);
  Value::Table stream{{"placeholder", "<|image_pad|>"},
                      {"video_placeholder", "<|video_pad|>"},
                      {"encoder", std::move(encoder)},
                      {"connector", grid_merger(tower, width, directory, norm_)}};
  return picture_model(std::move(llm), std::move(stream));
}

struct Qwen2 : Qwen2Vl {
  Qwen2() : Qwen2Vl("qwen2_vl", "layer_norm") {}
};

struct Qwen25 : Qwen2Vl {
  Qwen25() : Qwen2Vl("qwen2_5_vl", "rms_norm") {}
};

}  // namespace
}  // namespace antiphon::qwen2_vl

ANTIPHON_PLUGIN(qwen2_vl, "0.1.0") {
  using namespace antiphon::qwen2_vl;
  antiphon::register_component<antiphon::ModelFamily, Qwen2>(registrar, "qwen2_vl", "Qwen2-VL directories");
  antiphon::register_component<antiphon::ModelFamily, Qwen25>(registrar, "qwen2_5_vl", "Qwen2.5-VL directories");
}
