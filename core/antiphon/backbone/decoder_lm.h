// Shared by the language-model plugins on nn/decoder: the options that every config.json has, their table, and the
// LanguageModel itself. A plugin adds its own options and maps them to the decoder's.
#pragma once
#include <antiphon/component/language_model.h>
#include <antiphon/component/long_texts.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/config/schema.h>
#include <antiphon/nn/blocks/decoder.h>

namespace antiphon::backbone {

struct DecoderLmOptions {
  int64_t vocab_size = 32000, hidden_size = 4096, intermediate_size = 11008;
  int64_t num_layers = 32, num_heads = 32, num_kv_heads = 0, head_size = 0;
  int64_t max_positions = 2048;
  double norm_eps = 1e-6, rope_theta = 10000.0;
  std::string rope_type = "none";
  double rope_factor = 1.0, rope_low_freq_factor = 1.0, rope_high_freq_factor = 4.0;
  int64_t rope_original_max_positions = 8192;
  double rope_attention_factor = 0, rope_beta_fast = 32, rope_beta_slow = 1, rope_mscale = 0, rope_mscale_all_dim = 0;
  bool rope_truncate = true;
  bool tie_embeddings = false;

  // The decoder with these options; norm, biases and MLP are as in Llama. Error(config) if the head counts disagree.
  nn::DecoderOptions decoder() const;
};

// What a plugin expects of its config.json.
struct DecoderFamily {
  std::string plugin, model_type;  // for messages; the accepted one
  std::string hidden_act;          // the family's only activation
  const char* norm_eps_key = "rms_norm_eps";
  ForeignKeys rope = {};  // more keys of the rope table
};

// The meaning of the config.json keys that all families have.
ForeignKeys decoder_keys(const DecoderFamily& family);
// rope_scaling or rope_parameters, as transformers takes them.
JsonTable rope_table(const JsonTable& config);
// `options` is the same object, as the type that `table` describes.
void read_rope(const JsonTable& config, const DecoderFamily& family, const config::Schema& table, DecoderLmOptions& o,
               void* options);

// Error(weights) if config.json is of another family, or asks for something unsupported. `own`: the family's own keys.
template <class Options>
void read_decoder_config(const PretrainedConfig& pretrained, const DecoderFamily& family, const ForeignKeys& own,
                         const config::Table<Options>& table, Options& options) {
  expect_model_type(pretrained, family.plugin, family.model_type);
  read_keys(pretrained.config, decoder_keys(family).with(own), table, options);
  read_rope(pretrained.config, family, table, options, &options);
}

// A table with the shared keys, for an options struct that derives from DecoderLmOptions.
template <class Options>
config::Table<Options> decoder_lm_table(const std::string& name) {
  using D = DecoderLmOptions;
  auto of = []<class M>(M D::*member) -> M Options::* { return member; };
  return config::Table<Options>(name)
      .field("vocab_size", of(&D::vocab_size), "rows of the embedding", {.min = 1, .max = 1 << 24})
      .field("hidden_size", of(&D::hidden_size), "width of the residual stream", {.min = 1, .max = 1 << 20})
      .field("intermediate_size", of(&D::intermediate_size), "width of the MLP", {.min = 1, .max = 1 << 22})
      .field("num_layers", of(&D::num_layers), "blocks", {.min = 1, .max = 1000})
      .field("num_heads", of(&D::num_heads), "query heads", {.min = 1, .max = 1 << 16})
      .field("num_kv_heads", of(&D::num_kv_heads), "key and value heads (GQA); 0: as many as query heads",
             {.min = 0, .max = 1 << 16})
      .field("head_size", of(&D::head_size), "width of a head; 0: hidden_size / num_heads", {.min = 0, .max = 1 << 16})
      .field("max_positions", of(&D::max_positions), "longest sequence", {.min = 1, .max = 1 << 30})
      .field("norm_eps", of(&D::norm_eps), "epsilon of the norms", {.min = 0, .max = 1})
      .field("rope_theta", of(&D::rope_theta), "base of the rotary frequencies",
             {.min = 0, .max = 1e15, .above_min = true})
      .field("rope_type", of(&D::rope_type), "frequency scaling",
             {.choices = {"none", "linear", "llama3", "yarn", "dynamic"}})
      .field("rope_factor", of(&D::rope_factor), "scaling factor", {.min = 0, .max = 1e6, .above_min = true})
      .field("rope_low_freq_factor", of(&D::rope_low_freq_factor), "llama3: see Llama 3.1",
             {.min = 0, .max = 1e6, .above_min = true})
      .field("rope_high_freq_factor", of(&D::rope_high_freq_factor), "llama3: see Llama 3.1",
             {.min = 0, .max = 1e6, .above_min = true})
      .field("rope_original_max_positions", of(&D::rope_original_max_positions),
             "llama3, yarn, dynamic: context of pre-training", {.min = 1, .max = 1 << 30})
      .field("rope_attention_factor", of(&D::rope_attention_factor),
             "yarn, longrope: what cos and sin are multiplied by; 0: as follows from how much longer texts may be",
             {.min = 0, .max = 1e6})
      .field("rope_beta_fast", of(&D::rope_beta_fast), "yarn: turns in pre-training above which a frequency is kept",
             {.min = 0, .max = 1e6, .above_min = true})
      .field("rope_beta_slow", of(&D::rope_beta_slow), "yarn: turns below which it is divided by rope_factor",
             {.min = 0, .max = 1e6, .above_min = true})
      .field("rope_mscale", of(&D::rope_mscale),
             "yarn: with rope_mscale_all_dim, what rope_attention_factor follows from", {.min = 0, .max = 1e6})
      .field("rope_mscale_all_dim", of(&D::rope_mscale_all_dim), "yarn: see rope_mscale", {.min = 0, .max = 1e6})
      .field("rope_truncate", of(&D::rope_truncate), "yarn: blend between whole numbers of frequencies")
      .field("tie_embeddings", of(&D::tie_embeddings), "the head is the embedding");
}

// Checkpoint names are those of transformers' LlamaForCausalLM, which the relatives of Llama share.
class DecoderLm : public LanguageModel, public LongTexts {
 public:
  explicit DecoderLm(const nn::DecoderOptions& options) : decoder_(options) {}
  int64_t hidden_size() const override { return decoder_.options().hidden_size; }
  int64_t vocab_size() const override { return decoder_.options().vocab_size; }
  int64_t max_positions() const override { return decoder_.options().max_positions; }
  std::optional<int64_t> longest_short() const override;
  bool long_are_alike() const override { return decoder_.options().rope_scaling.type != "dynamic"; }
  int64_t position_axes() const override { return decoder_.position_axes(); }
  at::Tensor embed(const at::Tensor& ids) override { return decoder_.embed(ids); }
  at::Tensor forward(const DecoderInput& input) override { return decoder_.forward(input); }
  at::Tensor head_weight() override { return decoder_.head_weight(); }
  AddedProducts added_products(const at::Tensor& hidden_nd) override { return decoder_.added_products(hidden_nd); }
  LogitRule logit_rule() const override { return decoder_.options().logits; }
  at::Tensor logits(const at::Tensor& hidden_nd) override { return decoder_.logits(hidden_nd); }
  Quantization quantize(const std::string& format) override { return decoder_.quantize(format); }
  StateShape state_shape() const override { return antiphon::state_shape(decoder_.kv_shape()); }
  bool takes_prefix() const override { return true; }
  int64_t most_added() const override { return decoder_.options().num_layers; }
  Module& module() override { return decoder_; }
  NameMap name_map() const override;
  std::vector<Module*> blocks() override { return decoder_.blocks(); }
  void share(const SharedBy& by) override { decoder_.share(by); }
  TokenPart head_part() const override { return decoder_.head_part(); }

 private:
  nn::Decoder decoder_;
};

}  // namespace antiphon::backbone
