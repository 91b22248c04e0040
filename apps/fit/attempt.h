// One size of a batch tried: a child process that trains some steps with it.
#pragma once
#include <string>
#include <vector>

#include <antiphon/run/loaded_model.h>

namespace antiphon::apps {

// What is tried, but for the size.
struct Attempts {
  run::OpenOptions open;
  double limit = 0;            // bytes of the process's resident memory, or of the GPU's tensors
  int64_t least_tokens = 0;    // shorter samples are left out
  bool saves_between = false;  // the run writes checkpoints while it goes on, which copies what is trained
};

struct Attempt {
  int64_t tokens = 0;  // train.tokens_per_batch
  bool fits = false;
  double peak = 0;               // bytes, as above; of what does not fit, when it was stopped
  double tokens_per_second = 0;  // of the last steps
  std::string why;               // it does not fit
};

// Trains three steps of the configuration with the longest samples. Error of the child's kind, with its last words, if
// it ends otherwise than by want of memory.
Attempt attempted(const Attempts& of, int64_t tokens);

}  // namespace antiphon::apps
