#include <antiphon/profile/profiler.h>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/csrc/profiler/stubs/base.h>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/writable.h>
#include <antiphon/profile/peak.h>
#include <antiphon/profile/step_flops.h>
#include <antiphon/profile/table.h>
#include <antiphon/profile/tensor_memory.h>

#include <charconv>
#include <utility>

namespace antiphon::profile {
namespace {

std::string machine(const ProfileOptions& options, double peak) {
  return fmt::format("{} in {}{}: the quickest matrix product reaches {:.1f} GFLOP/s", options.device.str(),
                     options.dtype == at::kBFloat16 ? "bf16" : (options.dtype == at::kHalf ? "fp16" : "fp32"),
                     options.device.is_cpu() ? fmt::format(" on {} threads", at::get_num_threads()) : "", peak / 1e9);
}

// Ranges of NVTX, which Nsight Systems shows, if LibTorch has them: in its builds for CUDA.
trace::Marks nvtx_marks() {
  if (!torch::profiler::impl::cudaStubs()->enabled()) return {};
  return {[](const char* name) { torch::profiler::impl::cudaStubs()->rangePush(name); },
          [] { torch::profiler::impl::cudaStubs()->rangePop(); }};
}

}  // namespace

std::pair<int64_t, int64_t> parse_steps(const std::string& text) {
  const char* end = text.data() + text.size();
  std::pair<int64_t, int64_t> steps;
  auto got = std::from_chars(text.data(), end, steps.first);
  steps.second = steps.first;
  if (got.ec == std::errc() && got.ptr != end && *got.ptr == '-') got = std::from_chars(got.ptr + 1, end, steps.second);
  if (got.ec != std::errc() || got.ptr != end || steps.first < 1 || steps.second < steps.first)
    fail(ErrorKind::config, fmt::format("'{}' names no steps", text),
         "give the first and the last one, counted from 1: --profile-steps 3-12");
  return steps;
}

Profiler::Profiler(ProfileOptions options) : options_(std::move(options)) {
  check_can_write(options_.folder / "trace.json", ErrorKind::config);
  if (options_.device.is_cpu()) count_tensors(c10::kCPU);
  peak_ = measured_peak(options_.device, options_.dtype);
  log::info("profile: " + machine(options_, peak_));
}

Profiler::~Profiler() {
  if (counter_) trace::stop();
}

void Profiler::begin_step() {
  if (++steps_ < options_.first || finished_) return;
  if (!counter_) {
    counter_ = std::make_unique<FlopCounter>();
    const auto device = options_.device;
    trace::start(
        device.is_cpu() ? std::function<void()>() : [device] { synchronize(device); }, nvtx_marks());
  }
  forget_most();
  held_ = tensor_memory().now;
  scope_ = std::make_unique<TraceScope>(options_.step);
}

void Profiler::end_step() {
  if (!std::exchange(scope_, nullptr)) return;
  if (steps_ == options_.last) finish();
}

std::map<std::string, double> Profiler::metrics(double seconds) {
  if (!scope_) return {};
  const double flops = recorded_flops(), rate = (flops - std::exchange(seen_flops_, flops)) / seconds;
  std::map<std::string, double> metrics{{"train/gflops_per_second", rate / 1e9}, {"train/share_of_peak", rate / peak_}};
  if (options_.device.is_cpu()) metrics["train/step_memory_bytes"] = static_cast<double>(tensor_memory().most - held_);
  return metrics;
}

void Profiler::finish() {
  if (std::exchange(finished_, true)) return;
  if (!counter_) return log::warning("profile: the run ended before the first step that was to be recorded");
  scope_.reset();
  trace::stop();
  counter_.reset();
  const auto totals = trace::totals();
  const auto rows = rows_of(totals, trace::flops_without_scope(), options_.step, options_.parts);
  write(machine(options_, peak_) + "\n" + table_of(rows, totals, peak_));
}

// A run must not end because its profile cannot be written.
void Profiler::write(const std::string& table) const {
  try {
    std::error_code ignored;  // the failed write reports the reason
    std::filesystem::create_directories(options_.folder, ignored);
    write_file_atomic(options_.folder / "trace.json", trace::chrome_json(), ErrorKind::config);
    write_file_atomic(options_.folder / "table.txt", table, ErrorKind::config);
    log::info(fmt::format("profile: trace and table in {}\n{}", options_.folder.string(), table));
  } catch (const Error& error) {
    log::warning(fmt::format("the profile is not written: {}\n{}", error.message(), table));
  }
}

}  // namespace antiphon::profile
