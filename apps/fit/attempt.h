// One size of a batch tried: a process, or those of a mesh, that train some steps with it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include <antiphon/run/loaded_model.h>

namespace antiphon::apps {

// What is tried, but for the size.
struct Attempts {
  run::OpenOptions open;
  double limit = 0;            // bytes of resident memory, of all processes, or of each one's tensors on a GPU
  int64_t least_tokens = 0;    // shorter samples are left out
  bool saves_between = false;  // the run writes checkpoints while it goes on, which copies what is trained
  int processes = 1;
  double stall_seconds = 60;  // see launch/stall.h
  // Whether the memory that counts is the host's.
  bool on_host() const { return open.device == "cpu"; }
};

struct Attempt {
  int64_t tokens = 0;  // train.tokens_per_batch
  bool fits = false;
  std::optional<double> peak;  // bytes, as above; of what does not fit, when it was stopped; of GPUs if a step was done
  double tokens_per_second = 0;      // of the last steps
  std::string why = "";              // it does not fit
  int process = 0;                   // of several: the one that took most, or that had no room
  std::optional<double> of_process;  // bytes that it took, if they are known
};

// Trains three steps of the configuration with the longest samples. Error of a process's kind, with its last
// words, if it ends otherwise than by want of memory.
Attempt attempted(const Attempts& of, int64_t tokens);

}  // namespace antiphon::apps
