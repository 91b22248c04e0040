#include "adapter.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/activation.h>

#include <unordered_map>
#include <utility>

namespace antiphon::parallel_adapters {
namespace {

thread_local std::unordered_map<const Passage*, at::Tensor> on_the_way;

}  // namespace

void Passage::put(const at::Tensor& x) const { on_the_way[this] = x; }

at::Tensor Passage::take() const {
  auto found = on_the_way.extract(this);
  if (found.empty())
    fail(ErrorKind::internal, "parallel_adapters: the last layer of a sublayer is computed before its first one");
  return std::move(found.mapped());
}

at::Tensor SublayerStart::forward(const at::Tensor& x, const LinearBase& base) {
  passage_->put(x);
  return base.product(x);
}

ParallelAdapter::ParallelAdapter(const ParallelShape& shape, std::shared_ptr<const Passage> passage)
    : shape_(shape), down_(shape.in, shape.bottleneck, true), passage_(std::move(passage)) {
  add("parallel_down", down_);
  add("parallel_up.weight", up_, {shape.out, shape.bottleneck}, Init::zeros, Role::matrix);
  add("parallel_up.bias", up_bias_, {shape.out}, Init::zeros, Role::vector);
}

at::Tensor ParallelAdapter::forward(const at::Tensor& x, const LinearBase& base) {
  const auto inner = nn::activate(shape_.activation, down_.forward(passage_->take()));
  const auto bias = adds_bias_ ? nn::like(up_bias_, x) : at::Tensor();
  return base.product(x) + nn::linear(inner, nn::matrix_like(up_, x), bias) * shape_.scale;
}

void ParallelAdapter::keep_inputs(int64_t begin, int64_t size) {
  const auto cut = [&](int64_t input) { return shape_.bottleneck * input / shape_.last_in; };
  const int64_t first = cut(begin), count = cut(begin + size) - first;
  if (count == 0)
    fail(ErrorKind::config,
         fmt::format("parallel_adapters: bottleneck = {} is less than parallel.tensor", shape_.bottleneck),
         "use a wider bottleneck, or fewer processes");
  down_.keep_outputs(first, count);
  keep_part(up_, 1, first, count);
  adds_bias_ = begin == 0;
}

}  // namespace antiphon::parallel_adapters
