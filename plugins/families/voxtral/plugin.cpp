// Voxtral (Liu et al. 2025, "Voxtral"; transformers: models/voxtral) as a composition: Whisper's encoder, which hears
// as many windows of 30 s as a clip fills, four of whose vectors are joined, two layers, and Llama.
#include <fmt/format.h>

#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::voxtral {
namespace {

using config::Value;
using nlohmann::json;

// Of VoxtralEncoderConfig.
constexpr int64_t kWidth = 1280, kPositions = 1500;

constexpr const char* kTied = "tie_word_embeddings";

// A table of config.json over VoxtralConfig's own defaults for it.
json over(json defaults, const JsonTable& given) {
  if (given.exists()) defaults.update(given.json());
  return defaults;
}

// The head is never tied: the class has no tied weights.
json text_table(const JsonTable& given) {
  json usual = {{"model_type", "llama"},
                {"vocab_size", 131072},
                {"hidden_size", 3072},
                {"intermediate_size", 8192},
                {"num_hidden_layers", 30},
                {"num_key_value_heads", 8},
                {"max_position_embeddings", 131072},
                {"rms_norm_eps", 1e-5},
                {"head_dim", 128}};
  if (!given.table("rope_parameters").find("rope_theta")) usual["rope_theta"] = 1e8;
  auto text = over(std::move(usual), given);
  text[kTied] = false;
  return text;
}

// The encoder's intermediate_size is what vectors are joined to: VoxtralModel reshapes to it.
int64_t joined(const JsonTable& config) {
  const auto encoder = config.table("audio_config");
  const int64_t width = encoder.integer("hidden_size", kWidth, 1, 1 << 20),
                all = encoder.integer("intermediate_size", 4 * kWidth, 1, 1 << 22),
                positions = encoder.integer("max_source_positions", kPositions, 1, 1 << 16);
  if (all % width != 0 || all / width > 256 || positions % (all / width) != 0)
    encoder.refuse("intermediate_size", fmt::format("{} times the number of vectors that are joined, which divides a "
                                                    "window's {}",
                                                    width, positions));
  return all / width;
}

class Voxtral : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override;
  JsonTable current(const JsonTable& config) const override {
    return config.with("text_config", text_table(config.table("text_config")))
        .with("audio_config", over(json::object({{"model_type", "voxtral_encoder"}}), config.table("audio_config")))
        .with(kTied, false);
  }
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value&, json&) const override {}
};

std::vector<WholePart> Voxtral::parts() const {
  std::vector<NameRule> projector;
  for (const auto& prefix : projector_prefixes()) {
    projector.push_back({prefix + "linear_1.{}", "0.{}"});
    projector.push_back({prefix + "linear_2.{}", "1.{}"});
  }
  return sound_parts(projector);
}

Value Voxtral::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  static const auto* keys = new ForeignKeys(
      common_keys().with({.other = {"audio_config", "text_config", "audio_token_id", "audio_token_index", "vocab_size",
                                    "hidden_size", "projector_hidden_act", kTied}}));
  check_keys(config, *keys);
  const auto& known = nn::activation_names();
  check_fixed(config, {"projector_hidden_act", std::vector<json>(known.begin(), known.end())});
  const auto slot = [&](const char* kind, const char* part, const char* key) {
    return part_slot(plugin_reading(kind, config, key), directory, part);
  };
  auto connector = part_slot("frame_stack", directory, "multi_modal_projector");
  connector.insert(
      {{"factor", joined(config)}, {"activation", config.text("projector_hidden_act", "gelu")}, {"bias", false}});
  Value::Table stream{{"placeholder", "[AUDIO]"},
                      {"encoder", slot("encoder", "audio_tower", "audio_config")},
                      {"connector", std::move(connector)}};
  return Value::Table{{"llm", slot("language_model", "language_model", "text_config")},
                      {"streams", Value::Table{{"audio", std::move(stream)}}}};
}

}  // namespace
}  // namespace antiphon::voxtral

ANTIPHON_PLUGIN(voxtral, "0.1.0") {
  using namespace antiphon::voxtral;
  antiphon::register_component<antiphon::ModelFamily, Voxtral>(registrar, "voxtral", "Voxtral directories");
}
