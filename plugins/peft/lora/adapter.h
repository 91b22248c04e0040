// LoRA (Hu et al. 2021): y = W x + scale · B A x with W frozen. With a start that takes part of W over (PiSSA, Meng et
// al. 2024), y = W x + scale · (B A - B₀ A₀) x, where B₀ A₀ is that start, kept. DoRA (Liu et al. 2024): the rows of
// what W becomes so are scaled to trained lengths m; no gradient goes through their own lengths (section 4.3). Sources:
// these papers; huggingface/peft, src/peft/tuners/lora/{layer,dora,variants}.py (0.21); dropout of what the adapter
// gives: NeMo, nemo/collections/llm/peft/lora.py.
#pragma once
#include <ATen/core/Generator.h>
#include <antiphon/component/peft.h>

namespace antiphon::lora {

struct LoraShape {
  int64_t in = 0, out = 0, rank = 0;
  double scale = 1, dropout = 0;
  std::string init = "kaiming";  // see LoraOptions
  int64_t svd_iterations = 0;    // of "pissa"; 0: exactly
  bool dora = false;
  bool drops_output = false;  // in place of the input
};

class LoraAdapter : public LinearAdapter, public Module {
 public:
  // `site`: the name by which its dropout differs from others'.
  LoraAdapter(std::string site, const LoraShape& shape);
  // Puts the initial values in, of a layer that computes `base`. Processes that share the layer call it alike.
  void start(const LinearBase& base, nn::Linear& layer, at::Generator generator);
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override;
  std::optional<LinearBase::Plain> merged(const LinearBase::Plain& base) const override;
  LowRank low_rank() const override;
  // A and B of the whole change, twice the rank if a start is kept.
  LowRank whole() const;
  void keep_outputs(int64_t begin, int64_t size) override;
  void keep_inputs(int64_t begin, int64_t size) override;
  void keep(bool all) override { Module::keep(all); }

 private:
  at::Tensor changed(const at::Tensor& x) const;  // scale · B A x
  struct Lengths {
    at::Tensor of_rows;
    bool biased;
  };
  Lengths lengths(const LinearBase& base) const;
  at::Tensor directed(const at::Tensor& x, const LinearBase& base) const;
  at::Tensor dropped(const at::Tensor& x) const;
  at::Tensor dropped_output(const at::Tensor& y) const;
  at::Tensor without_start(const at::Tensor& y, const at::Tensor& x) const;
  at::Tensor matrix(const at::Tensor& weight) const;  // what W becomes, before its rows are scaled
  bool drops() const;
  at::Tensor a_, b_;              // [rank, in], [out, rank]
  at::Tensor a_start_, b_start_;  // the same, or undefined
  at::Tensor magnitude_;          // [out], or undefined
  std::string site_;
  LoraShape shape_;
  int64_t first_input_ = 0, first_output_ = 0;  // of the layer's, those of this process
};

}  // namespace antiphon::lora
