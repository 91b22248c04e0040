// A stack of linear layers with an activation between them.
#pragma once
#include <antiphon/nn/linear/linear.h>

#include <memory>
#include <string>

namespace antiphon::nn {

// depth 1: in -> out; depth n: in -> hidden -> … -> hidden -> out. Parameters: 0.weight, 0.bias, 1.weight, …
class Mlp : public Module {
 public:
  Mlp(int64_t in, int64_t hidden, int64_t out, int64_t depth, std::string activation, bool bias = true);
  at::Tensor forward(at::Tensor x) const;

 private:
  std::string activation_;
  std::vector<std::unique_ptr<Linear>> layers_;
};

}  // namespace antiphon::nn
