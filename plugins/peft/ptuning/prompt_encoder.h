// What computes the embeddings of virtual tokens. Sources: Liu et al. 2021 (P-tuning), peft/tuners/p_tuning/model.py,
// whose layers and names it has.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::ptuning {

struct PromptEncoderShape {
  int64_t tokens = 0, hidden_size = 0;  // of the embeddings
  int64_t inner_size = 0;               // of the layers in between
  int64_t layers = 0;                   // of the LSTM
  double dropout = 0;                   // between these
};

// Parameters: embedding.weight [tokens, hidden_size]; "mlp": mlp_head.{0,2,4}; "lstm": lstm_head, as torch.nn.LSTM
// names them, and mlp_head.{0,2}; "none": nothing else.
class PromptEncoder : public Module {
 public:
  PromptEncoder(const std::string& kind, const PromptEncoderShape& shape);
  // [tokens, hidden_size] in the dtype of the parameters.
  at::Tensor forward() const;

 private:
  void add_lstm(int64_t layer, int64_t in, const std::string& direction);
  void add_head(const std::vector<int64_t>& widths);
  PromptEncoderShape shape_;
  at::Tensor embedding_;
  std::vector<std::unique_ptr<at::Tensor>> lstm_;  // in the order that at::lstm takes
  std::vector<std::unique_ptr<nn::Linear>> head_;
};

}  // namespace antiphon::ptuning
