// Llama and its relatives (Touvron et al. 2023; transformers: models/llama): a name map and options for nn/decoder.
#pragma once
#include <antiphon/component/register.h>
#include <antiphon/nn/decoder.h>

namespace antiphon::llama {

struct LlamaOptions {
  int64_t vocab_size = 32000, hidden_size = 4096, intermediate_size = 11008;
  int64_t num_layers = 32, num_heads = 32, num_kv_heads = 0, head_size = 0;
  int64_t max_positions = 2048;
  double norm_eps = 1e-6, rope_theta = 10000.0;
  std::string rope_type = "none";
  double rope_factor = 1.0, rope_low_freq_factor = 1.0, rope_high_freq_factor = 4.0;
  int64_t rope_original_max_positions = 8192;
  bool attention_bias = false, mlp_bias = false, tie_embeddings = false;

  void read_pretrained(const PretrainedConfig& pretrained);
  nn::DecoderOptions decoder() const;
};
const config::Table<LlamaOptions>& llama_table();

class Llama : public LanguageModel {
 public:
  explicit Llama(const LlamaOptions& options) : decoder_(options.decoder()) {}
  int64_t hidden_size() const override { return decoder_.options().hidden_size; }
  int64_t vocab_size() const override { return decoder_.options().vocab_size; }
  int64_t max_positions() const override { return decoder_.options().max_positions; }
  at::Tensor embed(const at::Tensor& ids) override { return decoder_.embed(ids); }
  at::Tensor forward(const DecoderInput& input) override { return decoder_.forward(input); }
  at::Tensor head_weight() override { return decoder_.head_weight(); }
  KvCache make_cache(int64_t rows, int64_t capacity) override { return decoder_.make_cache(rows, capacity); }
  Module& module() override { return decoder_; }
  NameMap name_map() const override;

 private:
  nn::Decoder decoder_;
};

}  // namespace antiphon::llama
