// A small model for methods of fine-tuning.
#pragma once
#include <ATen/ATen.h>

#include <antiphon/component/peft.h>
#include <antiphon/component/token_table.h>
#include <antiphon/nn/linear/linear.h>

#include "network.h"

namespace antiphon::apps::conformance {

// A frozen model of linear layers with the names of a Llama, some with a bias, and of its embedding and head.
class Base : public Module {
 public:
  Base() {
    for (int layer = 0; layer < 2; ++layer) {
      for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
        add_linear(fmt::format("model.layers.{}.self_attn.{}", layer, name), layer == 1);
      for (const char* name : {"gate_proj", "up_proj", "down_proj"})
        add_linear(fmt::format("model.layers.{}.mlp.{}", layer, name), false);
    }
    add("model.embed_tokens.weight", embedding_, {tokens, hidden_size}, Init::normal, Role::embedding);
    add("lm_head.weight", head_, {tokens, hidden_size}, Init::normal, Role::embedding);
    embedding_table_.weight = &embedding_, head_table_.weight = &head_;
    add("model.embed_tokens", embedding_table_), add("lm_head", head_table_);
    start(*this, 61);  // biases are not zero
    set_requires_grad(false);
  }
  // Every layer on the same input [n, in], and embeddings of n tokens and their products with the head, side by side.
  at::Tensor forward(const at::Tensor& x) const {
    std::vector<at::Tensor> outputs;
    for (const auto& linear : linears_) outputs.push_back(linear->forward(x));
    const auto hidden_nd = embedding_table_.rows(at::arange(1, 1 + x.size(0))).to(x.scalar_type());
    const auto added = head_table_.added(hidden_nd);
    auto products_nv = at::linear(hidden_nd, head_.to(x.scalar_type()));
    if (added.inner_nr.defined()) products_nv = products_nv + at::linear(added.inner_nr, added.outer_vr);
    outputs.push_back(hidden_nd), outputs.push_back(added.with_columns(products_nv));
    return at::cat(outputs, -1);
  }
  static constexpr int64_t in = 12, out = 20, hidden_size = 16, tokens = 8;
  static constexpr KvShape kv{2, 2, 4};

 private:
  void add_linear(const std::string& name, bool bias) {
    linears_.push_back(std::make_unique<nn::Linear>(in, out, bias));
    add(name, *linears_.back());
  }
  std::vector<std::unique_ptr<nn::Linear>> linears_;
  at::Tensor embedding_, head_;
  TokenTable embedding_table_{[this](const at::Tensor& ids) { return at::embedding(embedding_, ids); }, tokens,
                              hidden_size, /*is_head=*/false, /*tied=*/false};
  TokenTable head_table_{[this](const at::Tensor& ids) { return at::embedding(head_, ids); }, tokens, hidden_size,
                         /*is_head=*/true, /*tied=*/false};
};

struct Adapted {
  std::unique_ptr<Base> base = std::make_unique<Base>();
  std::unique_ptr<Peft> peft;
  std::vector<std::string> paths;
};

inline PeftTarget target_of(Base& base) {
  PeftTarget target{base.sites(), Base::hidden_size};
  for (const auto& parameter : base.parameters()) target.parameters.push_back(parameter.name);
  target.kv = Base::kv, target.tables = base.tables();
  target.embed = [](const at::Tensor& ids) { return ids.unsqueeze(1).expand({-1, Base::hidden_size}).to(at::kFloat); };
  return target;
}

inline Adapted attached(const Subject& subject) {
  Adapted out;
  out.peft = build<Peft>(subject);
  out.paths = out.peft->attach(target_of(*out.base));
  return out;
}

// The checks of a method that puts virtual tokens before every sequence, or keys and values.
void check_prompt(Report& report, const Subject& subject);

}  // namespace antiphon::apps::conformance
