// P-tuning (Liu et al. 2021): trained embeddings stand before every sequence. Reads and writes PEFT's format: peft_type
// P_TUNING, and prompt_embeddings [tokens, hidden_size], which is what the encoder gives; so a file is read without
// one.
#include <antiphon/base/error.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "prompt_encoder.h"

namespace antiphon::ptuning {

struct PtuningOptions {
  int64_t tokens = 20, encoder_size = 0, encoder_layers = 2;
  std::string encoder = "mlp";
  double encoder_dropout = 0;
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<PtuningOptions>& ptuning_table() {
  using O = PtuningOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("ptuning")
          .field("tokens", &O::tokens, "virtual tokens before every sequence", {.min = 1, .max = 1 << 16})
          .field("encoder", &O::encoder,
                 "what computes their embeddings: mlp, lstm (bidirectional, with an MLP behind it), or none: they are "
                 "trained themselves",
                 {.choices = {"mlp", "lstm", "none"}})
          .field("encoder_size", &O::encoder_size, "width of the encoder's layers; 0: that of the language model",
                 {.min = 0, .max = 1 << 16})
          .field("encoder_layers", &O::encoder_layers, "of the LSTM; the MLP has three", {.min = 1, .max = 64})
          .field("encoder_dropout", &O::encoder_dropout, "between the layers of the LSTM, in training",
                 {.min = 0, .max = 1}));
  return *table;
}

void PtuningOptions::read_pretrained(const PretrainedConfig& pretrained) {
  read_options(pretrained.config, {{"num_virtual_tokens", "tokens"}}, ptuning_table(), *this);
  encoder = "none";  // a file has what it gave
}

class Ptuning : public Peft, private Module {
 public:
  explicit Ptuning(const PtuningOptions& options) : options_(options) {}

  std::vector<std::string> attach(const PeftTarget& target) override {
    if (target.hidden_size == 0)
      fail(ErrorKind::config, "ptuning: virtual tokens stand before the sequences of a language model",
           "put it into [[model.llm.peft]]");
    hidden_size_ = target.hidden_size;
    const int64_t inner = options_.encoder_size ? options_.encoder_size : hidden_size_;
    encoder_ = std::make_unique<PromptEncoder>(
        options_.encoder,
        PromptEncoderShape{options_.tokens, hidden_size_, inner, options_.encoder_layers, options_.encoder_dropout});
    add("", *encoder_);  // the names are the encoder's
    return {};
  }

  int64_t prompt_tokens() const override { return options_.tokens; }
  at::Tensor prompt() override { return encoder_->forward(); }
  std::string prompt_parameter() const override {
    if (options_.encoder != "none")
      fail(ErrorKind::weights,
           "ptuning: a file holds the embeddings of virtual tokens, not the encoder that computed them",
           "set encoder = \"none\", or name the folder of the run itself in `weights`");
    return "embedding.weight";
  }
  Module& module() override { return *this; }

  nlohmann::json adapter_config() const override {
    return {{"peft_type", "P_TUNING"},
            {"task_type", "CAUSAL_LM"},
            {"num_virtual_tokens", options_.tokens},
            {"num_transformer_submodules", 1},
            {"token_dim", hidden_size_},
            {"encoder_reparameterization_type", options_.encoder == "lstm" ? "LSTM" : "MLP"},
            {"encoder_hidden_size", options_.encoder_size ? options_.encoder_size : hidden_size_},
            {"encoder_num_layers", options_.encoder_layers},
            {"encoder_dropout", options_.encoder_dropout},
            {"inference_mode", true}};
  }

  ForeignKeys config_keys() const override {
    return {
        .fixed = {{"num_transformer_submodules", {1}}, {"modules_to_save", {nlohmann::json::array()}}},
        .other = {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
                  "inference_mode", "num_virtual_tokens", "token_dim", "num_attention_heads", "num_layers",
                  "encoder_reparameterization_type", "encoder_hidden_size", "encoder_num_layers", "encoder_dropout"},
        .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {"num_virtual_tokens", "token_dim"}; }
  std::string why_not_merged() const override { return "it puts virtual tokens before a text"; }
  void merge() override {
    fail(ErrorKind::config, "ptuning: virtual tokens cannot become part of the weights",
         "use the adapter's folder beside the model");
  }

 private:
  PtuningOptions options_;
  int64_t hidden_size_ = 0;
  std::unique_ptr<PromptEncoder> encoder_;
};

}  // namespace antiphon::ptuning

ANTIPHON_PLUGIN(ptuning, "0.1.0") {
  using namespace antiphon::ptuning;
  antiphon::register_component<antiphon::Peft, Ptuning>(
      registrar, "ptuning", "virtual tokens that an encoder computes, before every sequence", ptuning_table());
}
