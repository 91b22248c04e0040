// LoRA (Hu et al. 2021): y = W x + scale · B A x with W frozen.
#pragma once
#include <antiphon/component/peft.h>

namespace antiphon::lora {

class LoraAdapter : public LinearAdapter, public Module {
 public:
  // `site`: the name by which its dropout differs from others'.
  LoraAdapter(std::string site, int64_t in, int64_t out, int64_t rank, double scale, double dropout);
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override;
  std::optional<LinearBase::Plain> merged(const LinearBase::Plain& base) const override;
  LowRank low_rank() const override { return {a_, b_, scale_}; }
  void keep_outputs(int64_t begin, int64_t size) override { keep_part(b_, 0, begin, size); }
  void keep_inputs(int64_t begin, int64_t size) override;
  void keep(bool all) override { Module::keep(all); }

 private:
  at::Tensor a_, b_;  // [rank, in], [out, rank]
  std::string site_;
  int64_t first_input_ = 0, inputs_ = 0;  // of the layer's, those of this process; all of them
  double scale_, dropout_;
};

}  // namespace antiphon::lora
