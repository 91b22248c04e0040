#include <ATen/ATen.h>

#include <antiphon/base/files.h>
#include <antiphon/data/feature_cache.h>
#include <antiphon/weights/test_folder.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::data;
using weights::TestFolder;

namespace {

CachedFeatures features(at::ScalarType dtype) {
  return {{at::arange(24).reshape({2, 3, 4}).to(dtype), at::arange(4).reshape({1, 1, 4}).to(dtype)}, {1, 2, 30, 40}};
}

std::filesystem::path only_file(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) return entry.path();
  return {};
}

}  // namespace

TEST_CASE("feature cache: a round trip keeps values, dtype, order and number of parts") {
  TestFolder folder;
  FeatureCache cache(folder / "cache", {{"image", "settings"}});
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto key = cache.key("image", dtype == at::kFloat ? "a" : "b");
    CHECK_FALSE(cache.load(key));
    cache.store(key, features(dtype));
    const auto loaded = cache.load(key);
    REQUIRE(loaded);
    REQUIRE(loaded->parts.size() == 2);
    CHECK(loaded->tiling == features(dtype).tiling);
    for (size_t i = 0; i < 2; ++i) {
      CHECK(loaded->parts[i].scalar_type() == dtype);
      CHECK(at::equal(loaded->parts[i], features(dtype).parts[i]));
    }
  }
  CachedFeatures many;
  for (int i = 0; i < 12; ++i) many.parts.push_back(at::full({1, 1, 2}, i));
  cache.store(cache.key("image", "many"), many);
  const auto loaded = cache.load(cache.key("image", "many"));
  REQUIRE(loaded);
  for (int i = 0; i < 12; ++i) CHECK(loaded->parts[static_cast<size_t>(i)][0][0][0].item<int>() == i);
}

TEST_CASE("feature cache: the key depends on content, settings and stream; off and unknown streams have none") {
  TestFolder folder;
  const FeatureCache a(folder / "c", {{"image", "one"}, {"depth", "two"}}), b(folder / "c", {{"image", "three"}}),
      off("", {{"image", "one"}});
  CHECK(a.key("image", "x") == a.key("image", "x"));
  CHECK(a.key("image", "x") != a.key("image", "y"));
  CHECK(a.key("image", "x") != a.key("depth", "x"));
  CHECK(a.key("image", "x") != b.key("image", "x"));
  CHECK(a.key("audio", "x").empty());
  CHECK(off.key("image", "x").empty());
  CHECK_FALSE(off.enabled());
}

TEST_CASE("feature cache: any damage is a miss, and what is stored anew is good") {
  TestFolder folder;
  FeatureCache cache(folder / "cache", {{"image", "settings"}});
  const auto key = cache.key("image", "a");
  cache.store(key, features(at::kFloat));
  const auto file = only_file(folder / "cache");
  const auto bytes = read_file(file, ErrorKind::data);
  const auto put = [&](const std::string& content) { write_file_atomic(file, content, ErrorKind::data); };
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    put(damaged);
    if (const auto loaded = cache.load(key)) {  // white space of the header
      REQUIRE(loaded->parts.size() == 2);
      CHECK(at::equal(loaded->parts[0], features(at::kFloat).parts[0]));
    }
  }
  for (size_t size = 0; size < bytes.size(); size += 5) {
    put(bytes.substr(0, size));
    CHECK_FALSE(cache.load(key));
  }
  cache.store(key, features(at::kFloat));
  CHECK(cache.load(key));
}

TEST_CASE("feature cache: a folder that cannot be written is not an error") {
  TestFolder folder;
  folder.write("file", "");
  FeatureCache cache(folder / "file" / "cache", {{"image", "settings"}});
  CHECK_NOTHROW(cache.store(cache.key("image", "a"), features(at::kFloat)));
  CHECK_FALSE(cache.load(cache.key("image", "a")));
}

TEST_CASE("feature cache: what a killed process left half written goes, what is being written stays") {
  TestFolder folder;
  FeatureCache cache(folder / "cache", {{"image", "settings"}});
  cache.store(cache.key("image", "a"), features(at::kFloat));
  const auto whole = only_file(folder / "cache");
  const auto unfinished = whole.parent_path().parent_path() / "unfinished";
  CHECK(std::filesystem::is_empty(unfinished));
  // The third is where whole files lie, which may be a million: they are not gone through.
  const auto old = unfinished / "a.safetensors.tmp-1-0", fresh = unfinished / "a.safetensors.tmp-2-0",
             elsewhere = std::filesystem::path(whole.string() + ".tmp-3-0");
  for (const auto& path : {old, fresh, elsewhere}) std::ofstream(path) << "half";
  for (const auto& path : {old, elsewhere})
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  const FeatureCache again(folder / "cache", {{"image", "settings"}});
  CHECK_FALSE(std::filesystem::exists(old));
  CHECK(std::filesystem::exists(fresh));
  CHECK(std::filesystem::exists(elsewhere));
  CHECK(again.load(again.key("image", "a")));
}
