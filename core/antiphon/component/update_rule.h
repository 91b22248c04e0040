// How an optimizer updates parameters from their gradients. Groups, rates, clipping and the schedule are the trainer's.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <antiphon/component/kind.h>
#include <antiphon/component/module.h>

namespace antiphon {

// A parameter, its gradient, and what make_state() made for it.
struct UpdateItem {
  at::Tensor parameter, gradient;
  std::vector<at::Tensor> state;
  Role role = Role::matrix;  // what its module declared it to be
  std::string_view name;     // "llm/layers.0.self_attn.q_proj.weight"
};

class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  // The initial state kept for a parameter between updates: {"exp_avg", zeros}, … Any device, meta too.
  virtual std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& parameter) const = 0;
  // Updates all parameters and their state in place; gradients may be written over. Called without autograd.
  virtual void update(const std::vector<UpdateItem>& items, double lr, double weight_decay) = 0;
  // Whether each value is updated by what belongs to it alone, so that processes can update pieces of a parameter. Its
  // states are then of the parameter's shape, or single numbers [].
  virtual bool elementwise() const { return false; }
};

template <>
struct KindOf<UpdateRule> : Kind<> {
  static constexpr const char* name = "optimizer";
};

}  // namespace antiphon
