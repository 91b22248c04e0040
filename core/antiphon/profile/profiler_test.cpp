#include <unistd.h>

#include <torch/csrc/profiler/stubs/base.h>

#include <catch2/catch_test_macros.hpp>

#include <antiphon/base/trace.h>
#include <antiphon/profile/profiler.h>

using namespace antiphon;

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
