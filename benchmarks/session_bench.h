// antiphon_bench session: from the end of a spoken turn to the first token of its answer.
#pragma once
#include <string>
#include <vector>

#include "measure.h"

namespace antiphon::bench {

struct SessionFlags {
  std::string recipe, sound, detector, dtype = "bf16";
  double chunk = 0.64, left_context = 1.28;
  std::vector<double> seconds{2, 10, 30};
  Repeats repeats;
};

// With the recipe's real weights. Prints one line for each way and length.
void session(const SessionFlags& flags);

}  // namespace antiphon::bench
