#include "table_adapter.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/component/training_pass.h>
#include <antiphon/nn/keyed_dropout.h>
#include <antiphon/nn/linear/linear.h>

#include <utility>

#include "start.h"

namespace antiphon::lora {

// An embedding begins with A of zeros, whatever `init` says, as in PEFT. The factor with a row or a column for each
// token is one of tokens: most have no gradient in a step.
LoraTable::LoraTable(std::string site, const LoraShape& shape, bool is_head)
    : site_(std::move(site)), shape_(shape), is_head_(is_head) {
  const std::string a = is_head ? "lora_A.weight" : "lora_embedding_A",
                    b = is_head ? "lora_B.weight" : "lora_embedding_B";
  add(a, a_, {shape.rank, shape.in}, is_head ? Init::linear_uniform : Init::zeros,
      is_head ? Role::matrix : Role::embedding);
  add(b, b_, {shape.out, shape.rank}, is_head ? Init::zeros : Init::normal, is_head ? Role::embedding : Role::matrix);
}

// The factor of values stays whole: each process's tokens give a part of its gradient.
void LoraTable::keep_tokens(int64_t begin, int64_t size, comm::Group&) {
  if (is_head_)
    keep_part(b_, 0, begin, size);
  else
    keep_part(a_, 1, begin, size);
  first_token_ = begin;
}

void LoraTable::start(const at::Generator& generator) {
  if (!is_head_ || a_.numel() == 0) return;  // another process has it
  c10::AutoGradMode no_grad(false);
  const auto [a, b] = drawn(shape_, generator);
  if (a.defined()) a_.copy_(a);
  if (b.defined()) b_.copy_(b.narrow(0, first_token_, b_.size(0)));
}

at::Tensor LoraTable::read(const at::Tensor& ids_n, const at::Tensor& x_nd) {
  const auto change = at::embedding(of_tokens(), ids_n).mm(of_values()) * shape_.scale;
  return (x_nd + change).to(x_nd.scalar_type());
}

// Nothing drops the values of a row that is read, as in PEFT.
AddedProducts LoraTable::written(const at::Tensor& hidden_nd, const Rows&) {
  auto x = hidden_nd;
  if (shape_.dropout > 0 && TrainingPass::now())
    x = nn::keyed_dropout(x, shape_.dropout, nn::dropout_key(site_), {0, 0, x.size(1)});
  return {nn::linear(x, nn::like(of_values(), x)) * shape_.scale, nn::like(of_tokens(), x)};
}

at::Tensor LoraTable::merged(const at::Tensor& table_vd) const {
  return at::addmm(table_vd.to(at::kFloat), of_tokens().to(at::kFloat), of_values().to(at::kFloat), 1, shape_.scale);
}

}  // namespace antiphon::lora
