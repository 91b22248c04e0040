// `--profile`: records some steps and shows where their time went, as a trace and as a table.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <antiphon/base/trace.h>
#include <antiphon/profile/flops.h>

namespace antiphon::profile {

struct ProfileOptions {
  std::filesystem::path folder;    // trace.json and table.txt go there
  int64_t first = 3, last = 12;    // steps of this process to record, counted from 1
  std::string step = "step";       // name of a step: the scope that holds all others
  std::vector<std::string> parts;  // listed even if they never ran, in this order; others follow
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;  // that the peak is measured in
};

// All calls come from one thread: the one whose scopes the table shows.
class Profiler {
 public:
  // Measures the peak and logs it. Error(config) if nothing can be written into the folder.
  explicit Profiler(ProfileOptions options);
  ~Profiler();

  // Around each step.
  void begin_step();
  void end_step();
  // For a recorded step that took this long, before its end: train/gflops_per_second, train/share_of_peak, and on the
  // CPU train/step_memory_bytes, the most that tensors took in it beside what there was at its begin. Else nothing.
  std::map<std::string, double> metrics(double seconds);
  // Writes what was recorded and prints the table; called automatically after the last step, and only once. A failure
  // to write is a warning.
  void finish();

 private:
  void write(const std::string& table) const;
  ProfileOptions options_;
  double peak_ = 0, seen_flops_ = 0;
  int64_t held_ = 0;   // by tensors, when the step began
  int64_t steps_ = 0;  // begun so far
  bool finished_ = false;
  std::unique_ptr<FlopCounter> counter_;
  std::unique_ptr<TraceScope> scope_;  // of the step
};

// "3-12" or "5" as first and last step. Error(config).
std::pair<int64_t, int64_t> parse_steps(const std::string& text);

}  // namespace antiphon::profile
