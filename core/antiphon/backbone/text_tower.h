// The text towers of dual encoders: code shared by their plugins, and the options of their tables.
#pragma once
#include <antiphon/component/language_model.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/config/schema.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/encoder_layer.h>

#include <memory>

namespace antiphon::backbone {

// As transformers' CLIPTextConfig has them.
struct TextTowerOptions {
  int64_t vocab_size = 49408, hidden_size = 512, intermediate_size = 2048;
  int64_t num_layers = 12, num_heads = 8, max_positions = 77;
  double layer_norm_eps = 1e-5;
  std::string activation = "quick_gelu";
};

// What config.json of all of them has.
const ForeignKeys& text_tower_keys();

// A table with the shared keys, for an options struct that derives from TextTowerOptions.
template <class Options>
config::Table<Options> text_tower_table(const std::string& name) {
  using T = TextTowerOptions;
  auto of = []<class M>(M T::*member) -> M Options::* { return member; };
  return config::Table<Options>(name)
      .field("vocab_size", of(&T::vocab_size), "rows of the embedding", {.min = 1, .max = 1 << 24})
      .field("hidden_size", of(&T::hidden_size), "width", {.min = 1, .max = 1 << 20})
      .field("intermediate_size", of(&T::intermediate_size), "width of the MLP", {.min = 1, .max = 1 << 22})
      .field("num_layers", of(&T::num_layers), "blocks", {.min = 1, .max = 1000})
      .field("num_heads", of(&T::num_heads), "attention heads", {.min = 1, .max = 1 << 16})
      .field("max_positions", of(&T::max_positions), "longest text, tokens", {.min = 1, .max = 1 << 20})
      .field("layer_norm_eps", of(&T::layer_norm_eps), "epsilon of the norms", {.min = 0, .max = 1})
      .field("activation", of(&T::activation), "of the MLP", {.choices = nn::activation_names()});
}

struct TextTowerKind {
  std::string plugin;  // for messages
  bool causal = false;
  std::optional<TextPadding> padding = std::nullopt;
  // Names of a checkpoint that a dual encoder's other half has, or what compares the halves.
  std::vector<std::string> others = {};
};

// Embeddings of tokens and positions, pre-norm blocks, a norm. Parameters: token_embedding, position_embedding,
// layers.N (see nn::EncoderLayer), norm.
class TextTower : public LanguageModel, private Module {
 public:
  // Error(config) if the options contradict each other.
  TextTower(const TextTowerOptions& options, const TextTowerKind& kind);
  int64_t hidden_size() const override { return options_.hidden_size; }
  int64_t vocab_size() const override { return options_.vocab_size; }
  int64_t max_positions() const override { return options_.max_positions; }
  at::Tensor embed(const at::Tensor& ids) override;
  at::Tensor forward(const DecoderInput& input) override;
  at::Tensor head_weight() override;
  bool writes() const override { return false; }
  std::optional<TextPadding> padding() const override { return kind_.padding; }
  StateShape state_shape() const override { return {}; }
  Module& module() override { return *this; }
  NameMap name_map() const override;
  std::vector<Module*> blocks() override;
  void share(const SharedBy& by) override;  // parallel.tensor

 private:
  comm::Group* parts() const { return layers_.front()->parts(); }
  TextTowerOptions options_;
  TextTowerKind kind_;
  at::Tensor tokens_vd_, positions_pd_;
  std::vector<std::unique_ptr<nn::EncoderLayer>> layers_;
  nn::Norm norm_;
};

}  // namespace antiphon::backbone
