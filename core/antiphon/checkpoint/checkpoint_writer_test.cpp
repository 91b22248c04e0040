// A checkpoint holds the values from the time of the request; its outcome is reported.
#include <ATen/ATen.h>
#include <sys/resource.h>

#include <antiphon/base/error.h>
#include <antiphon/checkpoint/checkpoint_writer.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <csignal>
#include <thread>

using namespace antiphon;
using namespace antiphon::checkpoint;
using Catch::Matchers::ContainsSubstring;
using weights::TestFolder;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kTensors = 32, kEdge = 512;  // 32 MiB: far from written when save() returns

struct Run {
  std::vector<at::Tensor> parameters, state;
  Run() {
    for (int64_t i = 0; i < kTensors / 2; ++i)
      parameters.push_back(at::zeros({kEdge, kEdge})), state.push_back(at::zeros({kEdge, kEdge}).t());
  }
  void set(double value) {
    for (auto* tensors : {&parameters, &state})
      for (auto& tensor : *tensors) tensor.fill_(value);
  }
  checkpoint::CheckpointContent content(int64_t step) const {
    checkpoint::CheckpointContent content;
    for (size_t i = 0; i < parameters.size(); ++i) {
      content.parameters.emplace_back(std::to_string(i), parameters[i]);
      content.state.emplace_back(std::to_string(i), state[i]);
    }
    content.progress = {{"step", step}};
    return content;
  }
};

bool all_are(const fs::path& checkpoint, double value) {
  const auto loaded = checkpoint::load_checkpoint(checkpoint, true);
  int64_t equal = 0;
  for (const auto* tensors : {&loaded.parameters, &loaded.state})
    for (const auto& [name, tensor] : *tensors) equal += at::equal(tensor.whole(), at::full({kEdge, kEdge}, value));
  return equal == kTensors && loaded.progress.at("step") == value;
}

// No file may grow beyond `bytes`.
struct FileLimit {
  rlimit kept{};
  struct sigaction ignored {
  }, kept_action{};
  explicit FileLimit(rlim_t bytes) {
    ignored.sa_handler = SIG_IGN;
    sigaction(SIGXFSZ, &ignored, &kept_action);
    getrlimit(RLIMIT_FSIZE, &kept);
    const rlimit tight{bytes, kept.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &kept);
    sigaction(SIGXFSZ, &kept_action, nullptr);
  }
};

}  // namespace

TEST_CASE("what changes after save() is not in the checkpoint") {
  TestFolder folder;
  CheckpointWriter writer(folder.path(), 9);
  Run run;
  writer.prepare(run.content(0));
  for (int64_t step = 1; step < 5; ++step) {
    run.set(static_cast<double>(step));
    writer.save(step, run.content(step));
    run.set(-1);
    const auto path = writer.wait();
    REQUIRE(path);
    CHECK(path->filename() == "step_" + std::to_string(step));
    CHECK(all_are(*path, static_cast<double>(step)));
    CHECK_FALSE(writer.wait());
    CHECK_FALSE(writer.poll());
  }
}

TEST_CASE("a save waits for the one before, and older ones go when it is complete") {
  TestFolder folder;
  Run run;
  {
    CheckpointWriter writer(folder.path(), 2);
    for (int64_t step = 1; step < 5; ++step) {
      run.set(static_cast<double>(step));
      writer.save(step, run.content(step));
      if (step > 1) CHECK(all_are(folder / ("step_" + std::to_string(step - 1)), static_cast<double>(step - 1)));
    }
    run.set(-1);
  }
  CHECK(all_are(folder / "step_4", 4));  // destruction waits, too
  CHECK(all_are(folder / "step_3", 3));
  CHECK(folder.count() == 2);
}

TEST_CASE("other shapes and types take other buffers") {
  TestFolder folder;
  CheckpointWriter writer(folder.path(), 9);
  writer.prepare({{{"a", at::ones({2, 3})}}, {}, {}});
  writer.save(1, {{{"a", at::ones({2, 3})}}, {{"s", at::ones({})}}, {{"step", 1}}});
  writer.save(2, {{{"b", at::ones({3, 2}, at::kLong)}}, {}, {{"step", 2}}});
  const auto loaded = checkpoint::load_checkpoint(*writer.wait(), true);
  CHECK(loaded.parameters.size() == 1);
  CHECK(at::equal(loaded.parameters.at("b").whole(), at::ones({3, 2}, at::kLong)));
  CHECK(loaded.state.empty());
}

TEST_CASE("a write that fails is told once, and leaves the one before as it was") {
  TestFolder folder;
  CheckpointWriter writer(folder.path(), 1);
  Run run;
  run.set(1);
  writer.save(1, run.content(1));
  writer.wait();
  {
    const FileLimit limit(1 << 20);
    writer.save(2, run.content(2));
    CHECK_THROWS_WITH(writer.wait(), ContainsSubstring("File too large") && ContainsSubstring("ulimit"));
    CHECK_FALSE(writer.wait());
    writer.save(3, run.content(3));
    CHECK_THROWS_AS(writer.save(4, run.content(4)), Error);
  }
  CHECK(all_are(folder / "step_1", 1));
  run.set(5);
  writer.save(5, run.content(5));
  CHECK(all_are(*writer.wait(), 5));
  CHECK(folder.count() == 1);
}

TEST_CASE("a folder that cannot be made is an error in words, also of poll(), and no end of the process") {
  TestFolder folder;
  folder.write("file", "");
  const checkpoint::CheckpointContent content{{{"a", at::ones({2})}}, {}, {{"step", 1}}};
  CheckpointWriter writer(folder / "file", 1);
  writer.save(1, content);
  const auto until_told = [&] {
    while (!writer.poll()) std::this_thread::yield();
  };
  CHECK_THROWS_WITH(until_told(), ContainsSubstring("file"));
  writer.save(2, content);  // not polled: the destructor logs it
}
