// Rows of a table that are trained in place of those of some tokens, while the others stay: PEFT's
// trainable_token_indices of LoRA, and its method TRAINABLE_TOKENS. Source: huggingface/peft,
// src/peft/tuners/trainable_tokens/layer.py (0.21).
#pragma once
#include <antiphon/component/module.h>
#include <antiphon/component/token_table.h>
#include <antiphon/config/value.h>
#include <antiphon/nn/token_slices.h>

#include <string>
#include <vector>

namespace antiphon::nn {

class TokenRows : public TableAdapter, public Module {
 public:
  // Of these tokens of a table [tokens, width], as a parameter of this name.
  TokenRows(const std::string& name, const std::vector<int64_t>& ids, int64_t tokens, int64_t width);
  // Begins with what the table has.
  void start(const TokenTable& table);
  at::Tensor read(const at::Tensor& ids_n, const at::Tensor& x_nd) override;
  AddedProducts written(const at::Tensor& hidden_nd, const Rows& rows) override;
  at::Tensor merged(const at::Tensor& table_vd) const override;
  // Each process has all rows.
  void keep_tokens(int64_t begin, int64_t size, comm::Group& group) override;
  void keep(bool all) override { Module::keep(all); }

 private:
  // Which they are, and of each token that this process has its number among them, or k. If others have some: which of
  // the k are this process's, and as which tokens.
  struct Numbers {
    at::Tensor ids_k, place_v;
    at::Tensor own_m = {}, own_ids_m = {};
  };
  const Numbers& numbers_on(at::Device device);
  at::Tensor below(const Rows& rows, const at::Tensor& ids_k) const;
  at::Tensor rows_kd_;
  Numbers numbers_, used_;  // on the host; where passes are
  Part own_;
  comm::Group* group_ = nullptr;  // has the table together; nullptr: this process has all of it
};

// The rows of these tokens of the table, of which several have the same if the head is the embedding.
struct TrainedTokens {
  std::vector<Site> tables;
  std::vector<int64_t> ids;
};

// What an option says, of a part with these tables: a list of ids, which are the embedding's; or a table of such lists
// by names of tables. Error(config) naming `where` for numbers that are not tokens, or a table that is not there.
std::vector<TrainedTokens> trained_tokens(const std::string& where, const config::Value& option,
                                          const std::vector<Site>& tables);

}  // namespace antiphon::nn
