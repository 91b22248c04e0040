// Named methods of fine-tuning weighed and put together, as LoraModel.add_weighted_adapter of PEFT does
// (src/peft/tuners/lora/model.py, 0.21).
#pragma once
#include <string>
#include <vector>

#include <antiphon/model/multimodal_lm.h>

namespace antiphon::model {

struct WeightedAdapter {
  std::string name;
  double weight = 1;  // may be negative
};

// cat: the sum of their changes, times their weights. linear: at each site one change B A of their common rank, with
// A = Σ ±√|w s| A_i and B = Σ √|w s| B_i of their weights w and scales s; the sign is that of w.
enum class Combination { cat, linear };

// "cat", "linear".
Combination combination_of(const std::string& name);

// Puts these methods, and those without names, in use, and writes the combination into their parameters: to compute,
// merge or export with, not to train on. Error(config) if a name is unknown or there twice, if a method is not LoRA in
// the form y += s B A x (no DoRA, no PiSSA), or, with linear, if the ranks differ at a site.
void combine_adapters(MultimodalLm& model, const std::vector<WeightedAdapter>& adapters, Combination combination);

}  // namespace antiphon::model
