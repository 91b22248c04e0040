// Complete or absent: each kind of damage, and each place where writing may be cut off.
#include <ATen/ATen.h>
#include <sys/resource.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <functional>

using namespace antiphon;
using namespace antiphon::checkpoint;
using weights::TestFolder;
namespace fs = std::filesystem;

namespace {

CheckpointContent content(int64_t step) {
  const auto value = static_cast<double>(step);
  return {{{"llm/a", at::full({3, 2}, value)}, {"llm/b", at::full({4}, -value)}},
          {{"llm/a#step", at::full({}, value)}, {"random.cpu", at::arange(5, at::kByte)}},
          {{"step", step}, {"data", "x"}}};
}

fs::path save(const TestFolder& folder, int64_t step, int64_t keep = 9) {
  return save_checkpoint(folder.path(), step, content(step), keep);
}

std::string latest(const TestFolder& folder) {
  const auto path = latest_checkpoint(folder.path());
  return path ? path->filename().string() : "none";
}

bool is_refused(const fs::path& checkpoint) {
  try {
    verify_checkpoint(checkpoint);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    CHECK(std::string(error.what()).find(checkpoint.string()) != std::string::npos);
    return true;
  }
  return false;
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE("what is saved is what is loaded") {
  TestFolder folder;
  const auto path = save(folder, 7);
  CHECK(path.filename() == "step_7");
  const auto loaded = load_checkpoint(path, true);
  CHECK(at::equal(loaded.parameters.at("llm/a").whole(), at::full({3, 2}, 7.0)));
  CHECK(loaded.parameters.size() == 2);
  CHECK(at::equal(loaded.state.at("random.cpu").whole(), at::arange(5, at::kByte)));
  CHECK(loaded.progress.at("step") == 7);
  CHECK(load_checkpoint(path, false).state.empty());
  CHECK(folder.count() == 1);
}

TEST_CASE("the newest is chosen by its number, and as many as wanted are kept") {
  TestFolder folder;
  CHECK(latest(folder) == "none");
  CHECK_FALSE(has_checkpoints(folder.path()));
  CHECK(latest_checkpoint(folder / "nowhere") == std::nullopt);
  for (const int64_t step : {8, 9, 10, 11}) save(folder, step, 2);
  CHECK(latest(folder) == "step_11");
  CHECK(folder.count() == 2);
  CHECK(fs::exists(folder / "step_10"));
  CHECK(has_checkpoints(folder.path()));
  CHECK(latest_checkpoint(folder.path(), 11).value().filename() == "step_10");
  CHECK(latest_checkpoint(folder.path(), 10) == std::nullopt);
}

TEST_CASE("checkpoints of steps that were given up are removed, and make no room for later ones") {
  TestFolder folder;
  for (const int64_t step : {4, 8, 10, 12}) save(folder, step, 4);
  write(folder / "step_12" / "manifest.json", "{}");
  remove_after(folder.path(), 8);
  CHECK(latest(folder) == "step_8");
  CHECK(folder.count() == 2);
  save(folder, 21, 2);
  CHECK(latest_checkpoint(folder.path(), 21).value().filename() == "step_8");
  CHECK(at::equal(read_checkpoint(folder / "step_8", false).parameters.at("llm/a").whole(), at::full({3, 2}, 8.0)));
}

TEST_CASE("every flipped byte and every cut is noticed") {
  TestFolder folder;
  const auto path = save(folder, 3);
  for (const char* name : {"parameters.safetensors", "state.safetensors", "progress.json", "manifest.json"}) {
    const auto file = path / name;
    const auto bytes = read_file(file, ErrorKind::weights);
    // White space of the manifest may change without harm; everything else counts.
    const bool json = std::string(name) == "manifest.json";
    int passed = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      auto damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x04);
      write(file, damaged);
      const bool refused = is_refused(path);
      passed += !refused;
      if (!json) CHECK(refused);
    }
    CHECK(passed == 0);
    for (size_t size = 0; size < bytes.size(); size += 7) {
      write(file, bytes.substr(0, size));
      CHECK(is_refused(path));
    }
    write(file, bytes + "x");
    CHECK(is_refused(path));
    fs::remove(file);
    CHECK(is_refused(path));
    write(file, bytes);
    CHECK_FALSE(is_refused(path));
  }
}

TEST_CASE("manifests of odd types are refused in words") {
  TestFolder folder;
  const auto path = save(folder, 3);
  for (const char* text :
       {"", "null", "3", "[]", "{}", "{\"parameters.safetensors\": 1}", "{\"parameters.safetensors\": {}}",
        "{\"parameters.safetensors\": {\"bytes\": \"9\", \"xxh3\": 3}}",
        "{\"parameters.safetensors\": {\"bytes\": -1, \"xxh3\": null}}", "\xff\xfe", "[[[[[[[["}) {
    INFO(text);
    write(path / "manifest.json", text);
    CHECK(is_refused(path));
  }
}

TEST_CASE("damaged ones are passed over, set aside when their step comes again, and never push out good ones") {
  TestFolder folder;
  for (const int64_t step : {1, 2, 3}) save(folder, step);
  write(folder / "step_3" / "state.safetensors", "cut");
  write(folder / "step_2" / "manifest.json", "{}");
  fs::create_directories(folder / "step_5");
  fs::create_directories(folder / ".tmp-step_4-1");
  fs::create_directories(folder / "step_7x");
  folder.write("step_9", "a file");
  CHECK(latest(folder) == "step_1");
  save(folder, 2, 1);
  CHECK(latest(folder) == "step_2");
  CHECK_FALSE(fs::exists(folder / "step_1"));
  CHECK_FALSE(fs::exists(folder / ".tmp-step_4-1"));
  for (const char* name : {"step_2.damaged", "step_3.damaged", "step_5.damaged", "step_7x"})
    CHECK(fs::exists(folder / name));
  save(folder, 3, 1);
  CHECK(latest(folder) == "step_3");
}

TEST_CASE("saving a step that is there and whole changes nothing") {
  TestFolder folder;
  const auto path = save(folder, 4);
  const auto before = fs::last_write_time(path / "manifest.json");
  CHECK(save(folder, 4) == path);
  CHECK(fs::last_write_time(path / "manifest.json") == before);
}

TEST_CASE("wherever the writing ends, the one before stays the latest and the next save succeeds") {
  struct sigaction ignored {
  }, kept_action{};
  ignored.sa_handler = SIG_IGN;
  sigaction(SIGXFSZ, &ignored, &kept_action);
  rlimit kept{};
  getrlimit(RLIMIT_FSIZE, &kept);
  int failures = 0;
  for (rlim_t limit = 0; limit < 1200; limit += 8) {  // files of up to this size can be written
    TestFolder folder;
    save(folder, 1);
    const rlimit tight{limit, kept.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
    bool saved = true;
    ErrorKind kind = ErrorKind::weights;
    try {
      save(folder, 2);
    } catch (const Error& error) {
      saved = false, kind = error.kind();
    }
    setrlimit(RLIMIT_FSIZE, &kept);
    failures += !saved;
    CHECK(kind == ErrorKind::weights);
    CHECK(latest(folder) == (saved ? "step_2" : "step_1"));
    save(folder, 2);
    CHECK(latest(folder) == "step_2");
    CHECK(folder.count() == 2);
  }
  sigaction(SIGXFSZ, &kept_action, nullptr);
  CHECK(failures > 20);
  CHECK(failures < 150);
}

namespace {

// The text of Error(weights).
std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a folder that cannot be made, looked at or replaced is an error in words") {
  const TestFolder folder;
  folder.write("file", "");
  fs::create_symlink("loop", folder / "loop");
  const auto file = folder / "file", below = file / "below", loop = folder / "loop";
  const fs::path long_name(std::string(5000, 'x'));
  const std::vector<std::pair<fs::path, std::string>> places{{file, "Not a directory"},
                                                             {below, "Not a directory"},
                                                             {loop, "Too many levels of symbolic links"},
                                                             {long_name, "File name too long"}};
  for (const auto& one : places) {
    const auto saved = refusal([&] { save_checkpoint(one.first, 1, content(1), 1); });
    const auto prepared = refusal([&] { prepare_checkpoint({one.first, 1, 17}); });
    for (const auto& said : {saved, prepared}) {
      INFO(said);
      CHECK(said.find(one.first.string().substr(0, 50)) != std::string::npos);
      CHECK(said.find(one.second) != std::string::npos);
    }
  }
  for (const auto& place : {loop, long_name})
    CHECK(refusal([&] { remove_unfinished(place); }).find("cannot look at ") != std::string::npos);
}

namespace {

// Rows [begin, begin + rows) of llm/a, whose values count up; the first process has llm/b and the numbers, too.
CheckpointContent share_of(int64_t begin, int64_t rows, int64_t step) {
  const auto whole = at::arange(10, at::kFloat).view({5, 2});
  CheckpointContent content;
  content.parameters.emplace_back("llm/a", whole.narrow(0, begin, rows));
  content.state.emplace_back("llm/a#exp_avg", whole.narrow(0, begin, rows) * 2);
  for (const char* name : {"llm/a", "llm/a#exp_avg"}) content.boxes[name] = {{5, 2}, {begin, 0}};
  if (begin == 0) content.parameters.emplace_back("llm/b", at::ones({3}));
  if (begin == 0) content.state.emplace_back("llm/a#step", at::full({}, static_cast<double>(step)));
  content.progress = {{"step", step}};
  return content;
}

fs::path save_shares(const TestFolder& folder, int64_t step) {
  const SharedPlace place{folder.path(), step, 17};
  prepare_checkpoint(place);
  write_share(place, share_of(2, 3, step), {1, 2});
  write_share(place, share_of(0, 2, step), {0, 2});
  return finish_checkpoint(place, 2, 9);
}

}  // namespace

TEST_CASE("what several processes write in shares is one checkpoint") {
  TestFolder folder;
  const auto path = save_shares(folder, 3);
  CHECK(latest(folder) == "step_3");
  CHECK(folder.count() == 1);
  CHECK_FALSE(fs::exists(path / "digests_00001.json"));
  const auto loaded = load_checkpoint(path, true);
  const auto whole = at::arange(10, at::kFloat).view({5, 2});
  CHECK(at::equal(loaded.parameters.at("llm/a").whole(), whole));
  CHECK(at::equal(loaded.parameters.at("llm/a").read({1, 1}, {3, 1}), whole.narrow(0, 1, 3).narrow(1, 1, 1)));
  CHECK(loaded.parameters.at("llm/a").read({4, 0}, {0, 2}).numel() == 0);
  CHECK(at::equal(loaded.parameters.at("llm/b").whole(), at::ones({3})));
  CHECK(at::equal(loaded.state.at("llm/a#exp_avg").whole(), whole * 2));
  CHECK(loaded.state.at("llm/a#step").whole().item<float>() == 3);
  CHECK(loaded.progress.at("step") == 3);
  const auto taken = parameters_of(path, "llm/a");
  CHECK(taken.names() == std::vector<std::string>{"llm/a"});
  CHECK(at::equal(taken.tensor("llm/a"), whole));
}

TEST_CASE("shares are one checkpoint only when all are written and the first has finished") {
  TestFolder folder;
  save_shares(folder, 3);
  const SharedPlace sixth{folder.path(), 6, 17}, seventh{folder.path(), 7, 17}, late{folder.path(), 6, 16};
  prepare_checkpoint(sixth);
  CHECK(latest(folder) == "step_3");
  write_share(sixth, share_of(0, 2, 6), {0, 2});
  CHECK_THROWS_AS(write_share(late, share_of(2, 3, 6), {1, 2}), Error);  // by a process of an earlier attempt
  CHECK(latest(folder) == "step_3");
  CHECK_THROWS_AS(finish_checkpoint(sixth, 2, 9), Error);
  CHECK(latest(folder) == "step_3");
  CHECK(folder.count() == 1);
  prepare_checkpoint(seventh);
  abandon_checkpoint(seventh);
  CHECK(folder.count() == 1);
  CHECK_THROWS_AS(write_share(seventh, share_of(0, 2, 7), {0, 2}), Error);
}

TEST_CASE("a share that is missing, damaged or of another checkpoint is noticed") {
  TestFolder folder;
  const auto path = save_shares(folder, 3), other = save_shares(folder, 4);
  const auto share = [](const fs::path& checkpoint) { return checkpoint / "parameters_00002-of-00002.safetensors"; };
  const auto good = read_file(share(path), ErrorKind::weights);
  fs::remove(share(path));
  CHECK(is_refused(path));
  auto flipped = good;
  flipped.back() ^= 1;
  write(share(path), flipped);
  CHECK(is_refused(path));
  write(share(path), good);
  CHECK_FALSE(is_refused(path));
  auto manifest = read_file(path / "manifest.json", ErrorKind::weights);
  for (const char* count : {"00003", "00001", "99999999999", "-0002", "0000x"}) {
    auto changed = manifest;
    while (changed.find("of-00002") != std::string::npos) changed.replace(changed.find("of-00002") + 3, 5, count);
    write(path / "manifest.json", changed);
    CHECK(is_refused(path));
  }
  CHECK(latest(folder) == "step_4");
}

TEST_CASE("pieces must cover a tensor, each element once") {
  const auto refused = [](const std::vector<std::pair<at::Tensor, Box>>& pieces) {
    try {
      StoredTensor tensor;
      for (const auto& [values, box] : pieces) tensor.add(values, box);
      tensor.check("x");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::weights);
      return true;
    }
    return false;
  };
  const auto rows = [](int64_t n) { return at::ones({n, 2}); };
  CHECK_FALSE(refused({{rows(2), {{5, 2}, {0, 0}}}, {rows(3), {{5, 2}, {2, 0}}}}));
  CHECK_FALSE(refused({{at::ones({5, 1}), {{5, 2}, {0, 1}}}, {at::ones({5, 1}), {{5, 2}, {0, 0}}}}));  // columns
  CHECK(refused({{rows(2), {{5, 2}, {0, 0}}}}));
  CHECK(refused({{rows(2), {{4, 2}, {0, 0}}}, {rows(2), {{4, 2}, {1, 0}}}}));
  CHECK(refused({{rows(3), {{4, 2}, {2, 0}}}}));
  CHECK(refused({{rows(2), {{4, 2}, {-1, 0}}}}));
  CHECK(refused({{rows(2), {{2}, {0}}}}));
  CHECK(refused({{rows(2), {{4, 2}, {0, 0}}}, {rows(2).to(at::kDouble), {{4, 2}, {2, 0}}}}));
  CHECK(refused({{rows(2), {{4, 2}, {0, 0}}}, {rows(2), {{5, 2}, {2, 0}}}}));
  for (const char* text :
       {"", "[]", "3", "{\"a\": 1}", "{\"a\": {\"whole\": [1]}}", "{\"a\": {\"whole\": \"x\", \"begin\": [0]}}"})
    CHECK_THROWS_AS(boxes_of_text(text, "file"), Error);
}
