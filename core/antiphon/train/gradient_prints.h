// Gradients that are computed twice, to find a processor or a memory that computes wrongly without a word.
#pragma once
#include <string>
#include <vector>

#include <antiphon/component/module.h>

namespace antiphon::train {

// What is kept of a gradient to compare it with: its bits' hash if a CPU has computed it, where the same sums are taken
// in the same order; else its norm.
struct GradientPrint {
  std::string name;
  std::string bits = {};
  double norm = 0;
};

// Of those that have a gradient, in their order. `exact`: by bits.
std::vector<GradientPrint> gradient_prints(const std::vector<Parameter>& parameters, bool exact);

// The names whose gradients are not the same, or that only one of the two has. Norms may differ by 0.1 %, those below a
// thousandth of the largest by 0.1 % of that: they may be rounding alone.
std::vector<std::string> differing(const std::vector<GradientPrint>& first, const std::vector<GradientPrint>& again);

}  // namespace antiphon::train
