// VeRA (Kopiczko et al. 2024): y = W x + b ⊙ B (d ⊙ A x). A and B are random, frozen and shared by all sites, of which
// each takes the first columns and rows; d and b are trained. Sources: section 3.1 of the paper; huggingface/peft,
// src/peft/tuners/vera/{model,layer}.py (0.21).
#pragma once
#include <memory>
#include <string>

#include <antiphon/component/peft.h>

namespace antiphon::vera {

// A [rank, the most inputs of a site], B [the most outputs, rank].
struct Projections {
  at::Tensor a, b;
};

class VeraAdapter : public LinearAdapter, public Module {
 public:
  VeraAdapter(std::string site, int64_t in, int64_t out, int64_t rank, double dropout,
              std::shared_ptr<const Projections> shared);
  void start(double d_initial);
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override;
  std::optional<LinearBase::Plain> merged(const LinearBase::Plain& base) const override;
  LowRank low_rank() const override;
  void keep(bool all) override { Module::keep(all); }
  void keep_outputs(int64_t begin, int64_t size) override;
  void keep_inputs(int64_t begin, int64_t size) override;

 private:
  // The projections of this layer's, or this process's, inputs and outputs.
  at::Tensor a() const { return shared_->a.narrow(1, first_in_, in_); }
  at::Tensor b() const { return shared_->b.narrow(0, first_out_, out_); }
  at::Tensor d_, b_;  // [rank], [out]
  std::string site_;
  int64_t in_, out_, first_in_ = 0, first_out_ = 0, all_in_;
  double dropout_;
  std::shared_ptr<const Projections> shared_;
};

}  // namespace antiphon::vera
