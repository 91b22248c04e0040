// Prompt tuning (Lester et al. 2021): trained embeddings stand before every sequence, and begin as random ones or as
// those of a text (section 3.2). Reads and writes PEFT's format: peft_type PROMPT_TUNING, prompt_embeddings [tokens,
// hidden_size]. Source of the starts: huggingface/peft, src/peft/tuners/prompt_tuning/model.py (0.21).
#include <ATen/ATen.h>
#include <antiphon/base/error.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>
#include <antiphon/text/tokenizer/tokenizer.h>
#include <c10/core/GradMode.h>

#include <nlohmann/json.hpp>

namespace antiphon::prompt_tuning {

struct PromptTuningOptions {
  int64_t tokens = 20;
  std::string init = "random", init_text = "", tokenizer = "";
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<PromptTuningOptions>& prompt_tuning_table() {
  using O = PromptTuningOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("prompt_tuning")
          .field("tokens", &O::tokens, "virtual tokens before every sequence", {.min = 1, .max = 1 << 16})
          .field("init", &O::init, "how their embeddings begin: normal numbers, or the embeddings of init_text",
                 {.choices = {"random", "text"}})
          .field("init_text", &O::init_text, "said again until there are enough tokens, or cut off")
          .field("tokenizer", &O::tokenizer, "directory with tokenizer.json, for init_text"));
  return *table;
}

void PromptTuningOptions::read_pretrained(const PretrainedConfig& pretrained) {
  read_options(pretrained.config, {{"num_virtual_tokens", "tokens"}}, prompt_tuning_table(), *this);
}

class PromptTuning : public Peft, private Module {
 public:
  explicit PromptTuning(const PromptTuningOptions& options) : options_(options) {
    const bool wants_text = options.init == "text";
    if (wants_text == (options.init_text.empty() || options.tokenizer.empty()))
      fail(ErrorKind::config,
           wants_text ? "prompt_tuning: init = \"text\" without a text and its tokenizer"
                      : "prompt_tuning: init_text and tokenizer have no effect beside init = \"random\"",
           "set init = \"text\", init_text = \"…\" and tokenizer = the language model's directory, or none of them");
  }

  std::vector<std::string> attach(const PeftTarget& target) override {
    if (target.hidden_size == 0)
      fail(ErrorKind::config, "prompt_tuning: virtual tokens stand before the sequences of a language model",
           "put it into [[model.llm.peft]]");
    embed_ = target.embed, hidden_size_ = target.hidden_size;
    add("embedding.weight", embedding_, {options_.tokens, hidden_size_}, Init::normal, Role::embedding);
    return {};
  }

  void start(uint64_t) override {
    if (options_.init != "text") return;
    auto ids = text::Tokenizer::load(options_.tokenizer).encode(options_.init_text, {.add_special_tokens = true});
    if (ids.empty()) fail(ErrorKind::config, "prompt_tuning: init_text gives no token", "write some words");
    const auto some = at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong);
    const auto places = at::arange(options_.tokens, at::kLong).remainder(some.size(0));
    c10::AutoGradMode no_grad(false);
    embedding_.copy_(embed_(some.index_select(0, places).to(embedding_.device())));
  }

  int64_t prompt_tokens() const override { return options_.tokens; }
  at::Tensor prompt() override { return embedding_; }
  std::string prompt_parameter() const override { return "embedding.weight"; }
  Module& module() override { return *this; }

  // The values are in the file: whoever reads it needs no text to begin with.
  nlohmann::json adapter_config() const override {
    return {{"peft_type", "PROMPT_TUNING"},    {"task_type", "CAUSAL_LM"},  {"num_virtual_tokens", options_.tokens},
            {"num_transformer_submodules", 1}, {"token_dim", hidden_size_}, {"prompt_tuning_init", "RANDOM"},
            {"inference_mode", true}};
  }

  ForeignKeys config_keys() const override {
    return {.fixed = {{"num_transformer_submodules", {1}}, {"modules_to_save", {nlohmann::json::array()}}},
            .other = {"peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
                      "inference_mode", "num_virtual_tokens", "token_dim", "num_attention_heads", "num_layers",
                      "prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs"},
            .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {"num_virtual_tokens", "token_dim"}; }
  std::string why_not_merged() const override { return "it puts virtual tokens before a text"; }
  void merge() override {
    fail(ErrorKind::config, "prompt_tuning: virtual tokens cannot become part of the weights",
         "use the adapter's folder beside the model");
  }

 private:
  PromptTuningOptions options_;
  int64_t hidden_size_ = 0;
  std::function<at::Tensor(const at::Tensor&)> embed_;
  at::Tensor embedding_;  // [tokens, hidden_size]
};

}  // namespace antiphon::prompt_tuning

ANTIPHON_PLUGIN(prompt_tuning, "0.1.0") {
  using namespace antiphon::prompt_tuning;
  antiphon::register_component<antiphon::Peft, PromptTuning>(
      registrar, "prompt_tuning", "trained embeddings before every sequence", prompt_tuning_table());
}
