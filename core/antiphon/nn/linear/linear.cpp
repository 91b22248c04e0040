#include <antiphon/nn/linear/linear.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
#include <antiphon/base/page_out.h>
#include <antiphon/comm/group.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/kernels/onednn.h>
#include <antiphon/nn/deferred_gradients.h>
#include <antiphon/nn/linear/few_rows.h>
#include <antiphon/nn/linear/float8_linear.h>
#include <antiphon/nn/linear/nf4_weight.h>
#include <antiphon/nn/linear/packed_weight.h>
#include <antiphon/nn/linear/quantized_weight.h>

#include <algorithm>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool is_own(const at::Tensor& x, const at::Tensor& weight) {
  return kernels::is_fast_linear(x, weight) || kernels::is_widened(x, weight);
}

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    // The gradient of the weight alone needs the input.
    context->save_for_backward({context->needs_input_grad(1) ? x : at::Tensor(), weight});
    context->saved_data["shape"] = x.sizes().vec();
    context->saved_data["bias"] = bias.has_value();
    // Gradients on a GPU are computed by another thread, which has no such scope.
    context->saved_data["later"] = reinterpret_cast<int64_t>(DeferredGradients::now());
    return is_own(x, weight) ? kernels::linear(x, weight, bias.value_or(at::Tensor())) : at::linear(x, weight, bias);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto g = rows(grads[0]);
    at::Tensor grad_x, grad_weight, grad_bias;
    if (context->needs_input_grad(0))
      grad_x = kernels::mm(g, saved[1]).view(context->saved_data["shape"].toIntVector());
    const auto of_weight = [g, x = saved[0]] { return kernels::mm(g.t(), rows(x)); };
    auto* later = reinterpret_cast<DeferredGradients*>(context->saved_data["later"].toInt());
    if (later && context->needs_input_grad(1))
      later->add(saved[1], of_weight);
    else if (context->needs_input_grad(1))
      grad_weight = of_weight();
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) grad_bias = g.sum(0);
    return {grad_x, grad_weight, grad_bias};
  }
};

}  // namespace

Linear::Linear(int64_t in, int64_t out, bool with_bias) {
  linear_ = this;
  add("weight", weight, {out, in}, Init::linear_uniform, Role::matrix);
  if (with_bias) add("bias", bias, {out}, Init::zeros, Role::vector);
}

// The layer with its first adapters, as the next one sees it.
class Linear::Before : public LinearBase {
 public:
  Before(const Linear& linear, size_t count) : linear_(linear), count_(linear.last_active(count)) {}
  at::Tensor product(const at::Tensor& x) const override { return linear_.adapted(x, count_); }
  std::optional<Plain> plain(const at::Tensor& x) const override {
    if (count_ > 0 || linear_.float8_ || linear_.is_quantized()) return std::nullopt;
    return Plain{matrix_like(linear_.weight, x), like(linear_.added_bias(), x)};
  }
  Plain weights() const override {
    c10::AutoGradMode no_grad(false);
    if (count_ > 0 && linear_.adapters[count_ - 1]->tokens != TokenChoice::all) return {};  // no one map
    if (count_ > 0)
      return linear_.adapters[count_ - 1]->merged(Before(linear_, count_ - 1).weights()).value_or(Plain());
    const auto wide = [](const at::Tensor& t) { return t.defined() ? t.detach().to(at::kFloat) : t; };
    return {linear_.is_quantized() ? linear_.dequantized(at::kFloat) : wide(linear_.weight),
            wide(linear_.added_bias())};
  }
  std::optional<Rows> rows(const at::Tensor& a_nd) const override {
    if (count_ > 0 || linear_.float8_ || linear_.weight.requires_grad()) return std::nullopt;
    c10::AutoGradMode no_grad(false);
    const auto squares = linear_.row_squares_.get(linear_.weight, [&] { return weights().weight.square().sum(1); });
    const auto bias = linear_.added_bias();
    auto products = linear_.product(a_nd.detach().to(at::kFloat));
    if (bias.defined()) products = products - bias.detach().to(at::kFloat);
    return Rows{squares, products, bias.defined()};
  }
  at::Tensor over_inputs(at::Tensor sums) const override {
    if (linear_.over_) linear_.over_->sum(sums);
    return sums;
  }

 private:
  const Linear& linear_;
  size_t count_;
};

at::Tensor Linear::forward(const at::Tensor& x) const {
  return fits_few_rows(x, *this) ? multiply_few_rows(x, *this) : adapted(x, std::min(after_sum_, adapters.size()));
}

namespace {

// A map that was computed already.
class Given : public LinearBase {
 public:
  explicit Given(at::Tensor y) : y_(std::move(y)) {}
  at::Tensor product(const at::Tensor&) const override { return y_; }

 private:
  at::Tensor y_;
};

// Rows of the pass that the adapter changes and those that it does not; null if it changes all.
const TokenKinds* kinds_for(const LinearAdapter& adapter, const at::Tensor& x) {
  if (adapter.tokens == TokenChoice::all) return nullptr;
  const auto* kinds = TokenKindScope::now().get();
  if (!kinds || x.size(0) != kinds->tokens())
    fail(ErrorKind::config,
         "a method of fine-tuning changes some tokens only, and this pass does not say which its rows are",
         "leave `only` out of [[model.llm.peft]]");
  return kinds->others(adapter.tokens).size(0) > 0 ? kinds : nullptr;
}

// Each row by the adapter or by the map before it, as it is chosen.
at::Tensor by_row(LinearAdapter& adapter, const at::Tensor& x, const LinearBase& base) {
  const auto* kinds = kinds_for(adapter, x);
  if (!kinds) return adapter.forward(x, base);
  const auto &chosen = kinds->chosen(adapter.tokens), &others = kinds->others(adapter.tokens);
  const auto other = adapter.tokens == TokenChoice::media ? TokenChoice::text : TokenChoice::media;
  at::Tensor changed, same;
  {
    const TokenKindScope scope(kinds->alone(adapter.tokens));  // what the adapters below get
    changed = adapter.forward(x.index_select(0, chosen), base);
  }
  {
    const TokenKindScope scope(kinds->alone(other));
    same = base.product(x.index_select(0, others));
  }
  return at::cat({changed, same}).index_select(0, at::cat({chosen, others}).argsort());
}

}  // namespace

at::Tensor Linear::after_sum(at::Tensor y) const {
  for (size_t i = after_sum_; i < adapters.size(); ++i) {
    auto& adapter = *adapters[i];
    if (!is_active(adapter)) continue;
    const auto* kinds = kinds_for(adapter, y);
    const auto rows = kinds ? y.index_select(0, kinds->chosen(adapter.tokens)) : y;
    const auto changed = adapter.forward(rows, Given(rows));
    y = kinds ? y.index_copy(0, kinds->chosen(adapter.tokens), changed) : changed;
  }
  return y;
}

at::Tensor Linear::product(const at::Tensor& x) const {
  const auto added = added_bias();
  if (float8_ && (x.numel() > 0 || together)) return float8_linear(x, weight, like(added, x), *float8_);
  if (x.numel() == 0 && !is_quantized()) return nn::linear(x, matrix_like(weight, x), like(added, x));
  if (nf4) return nf4_linear(x, *nf4, like(added, x));
  if (base_fits_few_rows(x, *this)) return multiply_few_rows(x, matrix_of(*this), added);
  if (quantized) return quantized_linear(x, *quantized, like(added, x));
  if (packed_ && PackedWeight::fits(x, weight, added))
    return kernels::onednn::linear(x, packed_->of(weight, x.numel() / in()), added);
  return nn::linear(x, matrix_like(weight, x), like(added, x));
}

at::Tensor Linear::adapted(const at::Tensor& x, size_t count) const {
  count = last_active(count);
  return count == 0 ? product(x) : by_row(*adapters[count - 1], x, Before(*this, count - 1));
}

bool Linear::is_active(const LinearAdapter& adapter) {
  if (!AdapterScope::active(adapter.set)) return false;
  const auto* kinds = TokenKindScope::now().get();
  return adapter.tokens == TokenChoice::all || !kinds || kinds->chosen(adapter.tokens).size(0) > 0;
}

size_t Linear::last_active(size_t count) const {
  while (count > 0 && !is_active(*adapters[count - 1])) --count;
  return count;
}

std::optional<LowRank> Linear::low_rank() const {
  const size_t last = last_active(adapters.size());
  if (last == 0) return LowRank();
  const auto& adapter = *adapters[last - 1];
  const auto* kinds = TokenKindScope::now().get();
  if (adapter.tokens != TokenChoice::all && (!kinds || kinds->others(adapter.tokens).size(0) > 0)) return std::nullopt;
  auto change = adapter.low_rank();
  if (last_active(last - 1) > 0 || !change.a.defined()) return std::nullopt;
  return change;
}

std::unique_ptr<LinearBase> Linear::below(const LinearAdapter& adapter) const {
  size_t count = 0;
  while (adapters.at(count).get() != &adapter) ++count;
  return std::make_unique<Before>(*this, count);
}

void Linear::keep_outputs(int64_t begin, int64_t size) {
  for (const auto& adapter : adapters) adapter->keep_outputs(begin, size);
  keep_part(weight, 0, begin, size);
  if (bias.defined()) keep_part(bias, 0, begin, size);
}

void Linear::keep_inputs(int64_t begin, int64_t size, comm::Group& parts) {
  const auto reads_outputs = [](const auto& adapter) { return adapter->reads_outputs_only(); };
  const auto after = std::ranges::find_if(adapters, reads_outputs);
  after_sum_ = static_cast<size_t>(after - adapters.begin());
  for (auto adapter = adapters.begin(); adapter != after; ++adapter) (*adapter)->keep_inputs(begin, size);
  if (!std::all_of(after, adapters.end(), reads_outputs))
    fail(ErrorKind::config, "a layer that parallel.tensor divides has an adapter of its inputs over one of its outputs",
         "put the method that reads outputs last in [[peft]], or use parallel.tensor = 1");
  keep_part(weight, 1, begin, size);
  over_ = &parts;
}

at::Tensor Linear::added_bias() const { return over_ && over_->rank() > 0 ? at::Tensor() : bias; }

void Linear::keep_packed() { packed_ = std::make_shared<PackedWeight>(); }

bool Linear::use_float8(bool keeps_weight) {
  if (weight.numel() > 0 && Float8Weight::fits(weight))
    float8_ = std::make_shared<Float8Weight>(Float8Options{together, keeps_weight});
  return static_cast<bool>(float8_);
}

void Linear::quantize(const std::string& format) {
  if (format == "nf4")
    nf4 = std::make_shared<Nf4Weight>(Nf4Weight::of(weight, own_.front().box, together));
  else
    quantized = std::make_shared<QuantizedWeight>(QuantizedWeight::of(weight, format));
  if (weight.is_cpu())
    page_out(weight.const_data_ptr(), weight.nbytes());  // of a file that stays mapped for its other tensors
  weight = at::empty(weight.sizes(), weight.options().device(at::kMeta).requires_grad(false));
}

bool Linear::fits_format(const at::Tensor& weight, const std::string& format) {
  return format == "nf4" ? Nf4Weight::fits(weight) : QuantizedWeight::fits(weight);
}

int64_t Linear::quantized_bytes() const { return nf4 ? nf4->bytes() : quantized->bytes(); }

at::Tensor Linear::dequantized(at::ScalarType dtype) const {
  return nf4 ? nf4->dequantized(dtype) : quantized->dequantized(dtype);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto some_bias = bias.defined() ? std::optional(bias) : std::nullopt;
  const bool defers = DeferredGradients::now() && x.numel() > 0;
  if (!is_own(x, weight) && !defers) return at::linear(x, weight, some_bias);
  const bool trained = x.requires_grad() || weight.requires_grad() || (bias.defined() && bias.requires_grad());
  if (at::GradMode::is_enabled() && trained) return LinearFunction::apply(x, weight, some_bias);
  return is_own(x, weight) ? kernels::linear(x, weight, bias) : at::linear(x, weight, some_bias);
}

at::Tensor rows(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

at::Tensor like(const at::Tensor& parameter, const at::Tensor& x) {
  if (!parameter.defined() || parameter.scalar_type() == x.scalar_type()) return parameter;
  return parameter.to(x.scalar_type());
}

at::Tensor matrix_like(const at::Tensor& matrix, const at::Tensor& x) {
  return kernels::is_widened(x, matrix) ? matrix : like(matrix, x);
}

}  // namespace antiphon::nn
