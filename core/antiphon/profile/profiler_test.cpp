#include <unistd.h>

#include <ATen/ATen.h>
#include <torch/csrc/profiler/stubs/base.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <antiphon/base/trace.h>
#include <antiphon/profile/profiler.h>
#include <antiphon/profile/step_flops.h>

using namespace antiphon;
using profile::StepFlops;

namespace {

std::vector<std::string> marks;

// What a LibTorch with CUDA registers, in writing.
struct WrittenMarks : torch::profiler::impl::ProfilerStubs {
  void record(c10::DeviceIndex*, torch::profiler::impl::ProfilerVoidEventStub*, int64_t*) const override {}
  float elapsed(const torch::profiler::impl::ProfilerVoidEventStub*,
                const torch::profiler::impl::ProfilerVoidEventStub*) const override {
    return 0;
  }
  void mark(const char*) const override {}
  void rangePush(const char* name) const override { marks.emplace_back(name); }
  void rangePop() const override { marks.emplace_back("."); }
  bool enabled() const override { return true; }
  void onEachDevice(std::function<void(int)>) const override {}
  void synchronize() const override {}
};

}  // namespace

TEST_CASE("scopes of the recorded steps are ranges of NVTX if LibTorch has them") {
  static WrittenMarks written;
  torch::profiler::impl::registerCUDAMethods(&written);
  const auto folder = std::filesystem::temp_directory_path() / ("antiphon_profile_" + std::to_string(getpid()));
  profile::Profiler profiler({.folder = folder, .first = 2, .last = 2, .step = "step"});
  for (int step = 1; step <= 3; ++step) {
    profiler.begin_step();
    {
      const TraceScope outer("encoders/", "image");
      const TraceScope inner("decoder");
    }
    profiler.end_step();
  }
  CHECK(marks == std::vector<std::string>{"step", "encoders/image", "decoder", ".", ".", "."});
  std::filesystem::remove_all(folder);
}

TEST_CASE("step flops: few steps are counted, and those between by their tokens") {
  const auto a = at::ones({2, 3}), b = at::ones({3, 4});
  StepFlops flops;
  const auto step = [&](int products, int64_t tokens) {
    flops.begin_step();
    {
      const TraceScope scope("decoder");
      for (int i = 0; i < products; ++i) at::mm(a, b);
    }
    return flops.end_step(tokens);
  };
  CHECK(step(1, 10) == 48);
  CHECK_FALSE(trace::on());
  CHECK(step(2, 10) == 96);
  CHECK(step(5, 20) == Catch::Approx(96. / 10 * 20));  // as the last that was counted
  CHECK(step(0, 10) == 0);                             // the fourth is counted
  for (int64_t number = 5; number < StepFlops::kEvery; ++number) step(1, 4);
  CHECK(step(3, 4) == 3 * 48);
  CHECK(step(1, 8) == Catch::Approx(2 * 3 * 48));
}

TEST_CASE("step flops: what is computed to check a step is not the step's") {
  const auto a = at::ones({2, 3}), b = at::ones({3, 4});
  StepFlops flops;
  flops.begin_step();
  {
    const TraceScope scope("step");
    at::mm(a, b);
    {
      const StepFlops::Pause pause(flops);
      const TraceScope check("check");
      at::mm(a, b);
      const TraceScope inner("decoder");
      at::mm(a, b);
    }
    at::mm(a, b);
  }
  CHECK(flops.end_step(10) == 2 * 48);
  flops.begin_step();
  CHECK(flops.end_step(10) == 0);  // the second, in which nothing was left out
}

TEST_CASE("step flops: what else records goes on") {
  StepFlops flops;
  trace::start();
  flops.begin_step();
  CHECK(flops.end_step(10) == 0);
  CHECK(trace::on());
  trace::stop();
}
