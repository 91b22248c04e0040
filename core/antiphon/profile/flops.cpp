#include <antiphon/profile/flops.h>

#include <ATen/record_function.h>

#include <antiphon/base/trace.h>

#include <string_view>
#include <unordered_map>

namespace antiphon::profile {
namespace {

using Inputs = c10::ArrayRef<const c10::IValue>;
using Formula = double (*)(Inputs);

at::IntArrayRef sizes(Inputs inputs, size_t i) { return inputs[i].toTensor().sizes(); }

double product(at::IntArrayRef sizes) {
  double n = 1;
  for (const auto size : sizes) n *= static_cast<double>(size);
  return n;
}

// Two times the elements of the left side times the columns of the right one.
template <size_t left, size_t right>
double matmul(Inputs inputs) {
  return 2 * product(sizes(inputs, left)) * static_cast<double>(sizes(inputs, right).back());
}

template <size_t matrix>
double matvec(Inputs inputs) {
  return 2 * product(sizes(inputs, matrix));
}

double linear(Inputs inputs) { return 2 * product(sizes(inputs, 0)) * static_cast<double>(sizes(inputs, 1).front()); }

// Each output element takes the weight's elements of one output channel; a transposed one swaps the sides.
double convolution_of(at::IntArrayRef input, at::IntArrayRef weight, at::IntArrayRef output, bool transposed) {
  const double taps = product(weight) / static_cast<double>(weight[0]);
  return 2 * product(transposed ? input : output) * taps;
}

int64_t out_size(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

double convolution(Inputs inputs) {
  const auto input = sizes(inputs, 0), weight = sizes(inputs, 1);
  // One number may stand for all axes.
  const auto option = [&](size_t which, size_t axis) {
    const auto values = inputs[which].toIntVector();
    return values[values.size() == 1 ? 0 : axis];
  };
  std::vector<int64_t> output{input[0], weight[0]};
  for (size_t i = 2; i < input.size(); ++i)
    output.push_back(out_size(input[i], weight[i], option(3, i - 2), option(4, i - 2), option(5, i - 2)));
  return convolution_of(input, weight, output, inputs[6].toBool());
}

double convolution_backward(Inputs inputs) {
  const auto mask = inputs[10].toBoolList();
  return (mask[0] + mask[1]) * convolution_of(sizes(inputs, 1), sizes(inputs, 2), sizes(inputs, 0), inputs[7].toBool());
}

// [batch, heads, queries, head_size] and [.., keys, head_size]: Q K^T and P V.
template <size_t q, size_t causal, int products>
double attention(Inputs inputs) {
  const double keys = static_cast<double>(sizes(inputs, q + 1)[2]);
  return products * 2 * product(sizes(inputs, q)) * keys * (inputs[causal].toBool() ? 0.5 : 1);
}

// A backward pass has five products: the scores again, and the gradients of P, V, Q and K.
const std::unordered_map<std::string_view, Formula>& formulas() {
  static const auto* table = new std::unordered_map<std::string_view, Formula>{
      {"aten::mm", matmul<0, 1>},
      {"aten::addmm", matmul<1, 2>},
      {"aten::addmm_", matmul<1, 2>},
      {"aten::_addmm_activation", matmul<1, 2>},
      {"aten::bmm", matmul<0, 1>},
      {"aten::baddbmm", matmul<1, 2>},
      {"aten::baddbmm_", matmul<1, 2>},
      {"aten::mv", matvec<0>},
      {"aten::addmv", matvec<1>},
      {"aten::addmv_", matvec<1>},
      {"aten::mkldnn_linear", linear},
      {"mkldnn::_linear_pointwise", linear},
      {"aten::convolution", convolution},
      {"aten::convolution_backward", convolution_backward},
      {"aten::_scaled_dot_product_flash_attention_for_cpu", attention<0, 4, 2>},
      {"aten::_scaled_dot_product_flash_attention_for_cpu_backward", attention<1, 7, 5>},
      {"aten::_scaled_dot_product_flash_attention", attention<0, 4, 2>},
      {"aten::_scaled_dot_product_flash_attention_backward", attention<1, 11, 5>},
      {"aten::_scaled_dot_product_efficient_attention", attention<0, 6, 2>},
      {"aten::_scaled_dot_product_efficient_attention_backward", attention<1, 11, 5>},
  };
  return *table;
}

// Operations inside a counted operation are part of it.
thread_local int inside = 0;

struct Counted : at::ObserverContext {
  Counted() { ++inside; }
  ~Counted() override { --inside; }
};

std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& function) {
  const auto formula = formulas().find(function.name());
  if (inside > 0 || formula == formulas().end()) return nullptr;
  trace::add_flops(formula->second(function.inputs()));
  return std::make_unique<Counted>();
}

}  // namespace

// LibTorch's header allows both of these only while nothing else runs, which its later versions do not need any more:
// the list changes under a lock (GlobalCallbackManager in aten/src/ATen/record_function.cpp), and each thread takes a
// copy of it as an operation begins, so those of the loader count from one operation on or not. A copy may be called
// after the removal: count() is a function, and never goes away.
FlopCounter::FlopCounter()
    : handle_(at::addGlobalCallback(
          at::RecordFunctionCallback(count, [](const at::RecordFunction&, at::ObserverContext*) {})
              .needsInputs(true)
              .scopes({at::RecordScope::FUNCTION}))) {}

FlopCounter::~FlopCounter() { at::removeCallback(handle_); }

}  // namespace antiphon::profile
