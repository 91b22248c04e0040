#include <antiphon/nn/keyed_dropout.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/mixed.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/kernels/ops.h>

#include <utility>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local int64_t first_row_now = 0;

at::Tensor dropped(const at::Tensor& x, double p, uint64_t key, const DropoutPlace& place) {
  const int64_t columns = place.columns ? place.columns : x.size(-1);
  return kernels::dropout(x, {p, key, place.first_row * columns + place.first_column, columns});
}

// The mask is made again in the backward pass: nothing is kept.
struct KeyedDropoutFunction : torch::autograd::Function<KeyedDropoutFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double p, int64_t key, int64_t first_row,
                            int64_t first_column, int64_t columns) {
    context->saved_data["p"] = p, context->saved_data["key"] = key;
    context->saved_data["place"] = std::vector<int64_t>{first_row, first_column, columns};
    return dropped(x, p, static_cast<uint64_t>(key), {first_row, first_column, columns});
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto place = context->saved_data["place"].toIntVector();
    const auto key = static_cast<uint64_t>(context->saved_data["key"].toInt());
    return {dropped(grads[0], context->saved_data["p"].toDouble(), key, {place[0], place[1], place[2]}),
            {},
            {},
            {},
            {},
            {}};
  }
};

}  // namespace

uint64_t dropout_key(std::string_view site) { return mixed(TrainingPass::key(), site); }

DropoutRows::DropoutRows(int64_t first) : before_(std::exchange(first_row_now, first)) {}
DropoutRows::~DropoutRows() { first_row_now = before_; }
int64_t DropoutRows::first() { return first_row_now; }

at::Tensor keyed_dropout(const at::Tensor& x, double p, uint64_t key, const DropoutPlace& place) {
  if (p >= 1) return x * 0;
  return KeyedDropoutFunction::apply(x, p, static_cast<int64_t>(key), place.first_row + DropoutRows::first(),
                                     place.first_column, place.columns);
}

}  // namespace antiphon::nn
