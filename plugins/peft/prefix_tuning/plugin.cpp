// Prefix tuning (Li and Liang 2021): trained keys and values stand before those of every sequence in each layer, and
// are trained themselves or computed by a small network from embeddings (section 4.3). Reads and writes PEFT's format:
// peft_type PREFIX_TUNING, prompt_embeddings [tokens, layers * 2 * kv_heads * head_size]. Source of the layout, the
// network and its names: huggingface/peft, src/peft/tuners/prefix_tuning/model.py and PeftModel.get_prompt (0.21).
#include <ATen/ATen.h>
#include <antiphon/base/error.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>
#include <c10/core/GradMode.h>

#include <nlohmann/json.hpp>

namespace antiphon::prefix_tuning {

struct PrefixTuningOptions {
  int64_t tokens = 20, encoder_size = 0;
  bool projection = false;
  std::string init = "random";
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<PrefixTuningOptions>& prefix_tuning_table() {
  using O = PrefixTuningOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("prefix_tuning")
          .field("tokens", &O::tokens, "keys and values before those of every sequence, in each layer",
                 {.min = 1, .max = 1 << 16})
          .field("projection", &O::projection,
                 "compute them by a network of two layers from embeddings, which is trained; untrue: they are trained "
                 "themselves")
          .field("encoder_size", &O::encoder_size,
                 "inner width of that network; 0: all that a layer keeps of the keys of a token",
                 {.min = 0, .max = 1 << 16})
          .field("init", &O::init, "how they begin: from normal numbers, or zero", {.choices = {"random", "zero"}}));
  return *table;
}

void PrefixTuningOptions::read_pretrained(const PretrainedConfig& pretrained) {
  read_options(pretrained.config, {{"num_virtual_tokens", "tokens"}}, prefix_tuning_table(), *this);
}

class PrefixTuning : public Peft, private Module {
 public:
  explicit PrefixTuning(const PrefixTuningOptions& options) : options_(options) {
    if (options.encoder_size > 0 && !options.projection)
      fail(ErrorKind::config, "prefix_tuning: encoder_size has no effect without projection = true",
           "set projection = true, or leave it out");
  }

  std::vector<std::string> attach(const PeftTarget& target) override {
    kv_ = target.kv;
    if (kv_.layers == 0)
      fail(ErrorKind::config,
           "prefix_tuning: keys and values stand before the sequences of a language model that takes them "
           "(LanguageModel::takes_prefix), and this part is none",
           "put it into [[model.llm.peft]]");
    const int64_t width = kv_.kv_heads * kv_.head_size, all = kv_.layers * 2 * width;
    const bool zero = options_.init == "zero", learned = !options_.projection;
    add("embedding.weight", embedding_, {options_.tokens, learned ? all : width},
        learned && zero ? Init::zeros : Init::normal, Role::embedding);
    if (learned) return {};
    const int64_t inner = encoder_size();
    first_ = std::make_unique<nn::Linear>(width, inner, true), second_ = std::make_unique<nn::Linear>(inner, all, true);
    add("transform.0", *first_), add("transform.2", *second_);
    return {};
  }

  void start(uint64_t) override {
    c10::AutoGradMode no_grad(false);
    if (second_ && options_.init == "zero") second_->weight.zero_(), second_->bias.zero_();
  }

  int64_t prefix_tokens() const override { return options_.tokens; }
  at::Tensor prompt_embeddings() override {
    return second_ ? second_->forward(first_->forward(embedding_).tanh()) : embedding_;
  }
  at::Tensor prefix() override {
    return prompt_embeddings()
        .view({options_.tokens, kv_.layers, 2, kv_.kv_heads, kv_.head_size})
        .permute({1, 2, 0, 3, 4});
  }
  std::string prompt_parameter() const override {
    if (options_.projection)
      fail(ErrorKind::weights, "prefix_tuning: a file holds keys and values, not the network that computed them",
           "set projection = false, or name the folder of the run itself in `weights`");
    return "embedding.weight";
  }
  Module& module() override { return *this; }

  // The values are in the file: whoever reads it needs no network.
  nlohmann::json adapter_config() const override {
    return {{"peft_type", "PREFIX_TUNING"},
            {"task_type", "CAUSAL_LM"},
            {"num_virtual_tokens", options_.tokens},
            {"num_transformer_submodules", 1},
            {"num_layers", kv_.layers},
            {"num_attention_heads", kv_.kv_heads},
            {"token_dim", kv_.kv_heads * kv_.head_size},
            {"encoder_hidden_size", encoder_size()},
            {"prefix_projection", options_.projection},
            {"inference_mode", true}};
  }

  ForeignKeys config_keys() const override {
    return {.fixed = {{"num_transformer_submodules", {1}}, {"modules_to_save", {nlohmann::json::array()}}},
            .other = {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
                      "inference_mode", "num_virtual_tokens", "token_dim", "num_attention_heads", "num_layers",
                      "encoder_hidden_size", "prefix_projection", "init_weights"},
            .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override {
    return {"num_virtual_tokens", "num_layers", "num_attention_heads", "token_dim"};
  }
  std::string why_not_merged() const override { return "it puts keys and values before those of a text"; }
  void merge() override {
    fail(ErrorKind::config, "prefix_tuning: keys and values of every sequence cannot become part of the weights",
         "use the adapter's folder beside the model");
  }

 private:
  int64_t encoder_size() const { return options_.encoder_size ? options_.encoder_size : kv_.kv_heads * kv_.head_size; }
  PrefixTuningOptions options_;
  KvShape kv_;
  at::Tensor
      embedding_;  // [tokens, layers * 2 * kv_heads * head_size], or of the network [tokens, kv_heads * head_size]
  std::unique_ptr<nn::Linear> first_, second_;
};

}  // namespace antiphon::prefix_tuning

ANTIPHON_PLUGIN(prefix_tuning, "0.1.0") {
  using namespace antiphon::prefix_tuning;
  antiphon::register_component<antiphon::Peft, PrefixTuning>(
      registrar, "prefix_tuning", "trained keys and values before those of every sequence", prefix_tuning_table());
}
