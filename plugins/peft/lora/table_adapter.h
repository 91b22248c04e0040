// LoRA of a table of tokens: of the embedding, whose A has a column for each token (lora_embedding_A, B), or of the
// head, which is a linear layer without a bias. Source: huggingface/peft, src/peft/tuners/lora/layer.py, Embedding
// (0.21).
#pragma once
#include <ATen/core/Generator.h>
#include <antiphon/component/module.h>
#include <antiphon/component/token_table.h>

#include <string>

#include "adapter.h"

namespace antiphon::lora {

class LoraTable : public TableAdapter, public Module {
 public:
  // `site`: see LoraAdapter. `shape` is from tokens to values of an embedding, from values to tokens of a head.
  LoraTable(std::string site, const LoraShape& shape, bool is_head);
  void start(const at::Generator& generator);
  at::Tensor read(const at::Tensor& ids_n, const at::Tensor& x_nd) override;
  AddedProducts written(const at::Tensor& hidden_nd, const Rows& rows) override;
  at::Tensor merged(const at::Tensor& table_vd) const override;
  void keep_tokens(int64_t begin, int64_t size, comm::Group& group) override;
  void keep(bool all) override { Module::keep(all); }

 private:
  at::Tensor of_tokens() const { return is_head_ ? b_ : a_.t(); }  // [tokens, rank]
  at::Tensor of_values() const { return is_head_ ? a_ : b_.t(); }  // [rank, width]
  at::Tensor a_, b_;
  std::string site_;
  LoraShape shape_;
  bool is_head_;
  int64_t first_token_ = 0;  // of the table's, that of this process
};

}  // namespace antiphon::lora
