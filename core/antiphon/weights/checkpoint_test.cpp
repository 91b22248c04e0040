#include <antiphon/weights/checkpoint.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/weights/test_folder.h>

using namespace antiphon;
using namespace antiphon::weights;
using Catch::Matchers::ContainsSubstring;

namespace {

namespace fs = std::filesystem;

const std::string index_name = "model.safetensors.index.json";

std::string open_error(const fs::path& path) {
  try {
    Checkpoint checkpoint(path);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    return error.what();
  }
  return {};
}

// Two shards with an index whose weight_map is `map`.
std::string index_error(const std::string& map, const TestFolder& folder) {
  folder.write(index_name, fmt::format(R"({{"metadata":{{"total_size":16}},"weight_map":{}}})", map));
  return open_error(folder.path());
}

NamedTensors some() {
  return {{"b", at::ones({10})}, {"a", at::arange(10, at::kFloat)}, {"c", at::zeros({30})}, {"d", at::ones({1})}};
}

}  // namespace

TEST_CASE("a folder with one file, a file, and shards give the same tensors") {
  const TestFolder single, sharded;
  save_checkpoint(single.path(), some());
  save_checkpoint(sharded.path(), some(), 80);
  CHECK(single.count() == 1);
  CHECK(sharded.count() == 4);
  const auto index = nlohmann::json::parse(sharded.read(index_name));
  CHECK(index.at("metadata").at("total_size") == 204);
  CHECK(index.at("weight_map").at("a") == "model-00001-of-00003.safetensors");
  CHECK(index.at("weight_map").at("c") == "model-00002-of-00003.safetensors");
  CHECK(index.at("weight_map").at("d") == "model-00003-of-00003.safetensors");
  for (const auto& path : {single.path(), single / "model.safetensors", sharded.path()}) {
    const Checkpoint checkpoint(path);
    CHECK(checkpoint.names().size() == 4);
    CHECK(checkpoint.total_bytes() == 204);
    CHECK(checkpoint.warnings().empty());
    for (const auto& [name, tensor] : some()) CHECK(at::equal(checkpoint.tensor(name), tensor));
    CHECK(at::equal(checkpoint.slice("a", 3, 5), at::arange(3, 5, at::kFloat)));
    CHECK_FALSE(checkpoint.contains("e"));
    CHECK_THROWS_AS(checkpoint.info("e"), Error);
  }
}

TEST_CASE("a later save leaves nothing of an earlier one") {
  const TestFolder folder;
  save_checkpoint(folder.path(), some(), 80);
  folder.write("config.json", "{}");
  save_checkpoint(folder.path(), {{"x", at::ones({2})}});
  CHECK(folder.count() == 2);
  CHECK(Checkpoint(folder.path()).names() == std::vector<std::string>{"x"});
  save_checkpoint(folder.path(), some(), 130);
  CHECK(folder.count() == 4);
  CHECK(Checkpoint(folder.path()).names().size() == 4);
}

TEST_CASE("a save that fails changes nothing in the folder") {
  const TestFolder folder;
  save_checkpoint(folder.path(), some(), 80);
  const auto before = folder.read("model-00001-of-00003.safetensors");
  auto tensors = some();
  tensors[0].second = at::zeros({10});
  tensors[3].second = at::ones({1}, at::kComplexDouble);
  CHECK_THROWS_AS(save_checkpoint(folder.path(), tensors, 80), Error);
  tensors[3] = {"b", at::ones({1})};
  CHECK_THROWS_AS(save_checkpoint(folder.path(), tensors, 80), Error);
  CHECK(folder.count() == 4);
  CHECK(folder.read("model-00001-of-00003.safetensors") == before);
}

TEST_CASE("what is not a checkpoint is refused with advice") {
  const TestFolder folder;
  CHECK_THAT(open_error(folder / "none"), ContainsSubstring("does not exist"));
  CHECK_THAT(open_error(folder.path()), ContainsSubstring("has no model.safetensors"));
  folder.write("pytorch_model.bin", "\x80\x02");
  CHECK_THAT(open_error(folder.path()),
             ContainsSubstring("bare Python pickles") && ContainsSubstring("safetensors.torch.save_file"));
  folder.write("pytorch_model.bin", "PK");
  CHECK_THAT(open_error(folder / "pytorch_model.bin"), ContainsSubstring("pytorch_model.bin: it is not a zip archive"));
}

TEST_CASE("hostile and broken indexes are refused") {
  const TestFolder folder, outside;
  save_safetensors(folder / "one.safetensors", {{"a", at::ones({2})}});
  save_safetensors(folder / "two.safetensors", {{"b", at::ones({2})}});
  save_safetensors(folder / "again.safetensors", {{"a", at::ones({2})}});
  save_safetensors(outside / "x.safetensors", {{"a", at::ones({2})}});
  fs::create_symlink(outside / "x.safetensors", folder / "link.safetensors");
  fs::create_symlink("one.safetensors", folder / "near.safetensors");
  CHECK(index_error(R"({"a":"one.safetensors","b":"two.safetensors"})", folder).empty());
  CHECK(index_error(R"({"a":"near.safetensors"})", folder).empty());
  for (const std::string name : {"../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..", ".", "",
                                 "a\\\\b.safetensors", "a\\u0000.safetensors"}) {
    INFO(name);
    CHECK_THAT(index_error(fmt::format(R"({{"a":"{}"}})", name), folder),
               ContainsSubstring("not the plain name of a file"));
  }
  CHECK_THAT(index_error(R"({"a":"link.safetensors"})", folder), ContainsSubstring("outside the model folder"));
  CHECK_THAT(index_error(R"({"a":"weights.txt"})", folder), ContainsSubstring("not a .safetensors or .bin file"));
  CHECK_THAT(index_error(R"({"a":"one.safetensors","b":"three.safetensors","c":"four.safetensors"})", folder),
             ContainsSubstring("2 of 3 files"));
  CHECK_THAT(index_error(R"({"a":"one.safetensors","x":"again.safetensors"})", folder),
             ContainsSubstring("tensor 'a' is in"));
  CHECK_THAT(index_error(R"({"a":"one.safetensors","b":"one.safetensors"})", folder),
             ContainsSubstring("places tensor 'b' in one.safetensors"));
  CHECK_THAT(index_error(R"({"a":"two.safetensors","b":"one.safetensors"})", folder),
             ContainsSubstring("which does not have it"));
  CHECK_THAT(index_error(R"({"a":"one.safetensors","a":"two.safetensors"})", folder),
             ContainsSubstring("the key 'weight_map.a' stands twice"));
  CHECK_THAT(index_error(R"({"a":1})", folder), ContainsSubstring("weight_map must be"));
  CHECK_THAT(index_error(R"([])", folder), ContainsSubstring("weight_map must be"));
  CHECK_THAT(index_error(R"({})", folder), ContainsSubstring("weight_map must be"));
  folder.write(index_name, "{\"weight_map\": ");
  CHECK_THAT(open_error(folder.path()), ContainsSubstring("model.safetensors.index.json:1:"));
}

TEST_CASE("the links of a Hugging Face cache are followed, only into its own blobs") {
  const TestFolder cache;
  const auto snapshot = cache / "snapshots/abc", blobs = cache / "blobs";
  fs::create_directories(snapshot);
  fs::create_directories(blobs);
  save_safetensors(blobs / "0123", {{"a", at::ones({2})}});
  fs::create_symlink("../../blobs/0123", snapshot / "model.safetensors");
  CHECK(Checkpoint(snapshot).names() == std::vector<std::string>{"a"});
  fs::rename(blobs / "0123", cache / "0123");
  fs::remove(snapshot / "model.safetensors");
  fs::create_symlink("../../0123", snapshot / "model.safetensors");
  CHECK_THAT(open_error(snapshot), ContainsSubstring("outside the model folder"));
}

TEST_CASE("a total_size that is not the sum is a warning") {
  const TestFolder folder;
  save_safetensors(folder / "one.safetensors", {{"a", at::ones({2})}});
  REQUIRE(index_error(R"({"a":"one.safetensors"})", folder).empty());
  const Checkpoint checkpoint(folder.path());
  REQUIRE(checkpoint.warnings().size() == 1);
  CHECK_THAT(checkpoint.warnings()[0], ContainsSubstring("total_size is 16, the tensors have 8 bytes"));
}

TEST_CASE("a damaged shard is named") {
  const TestFolder folder;
  save_checkpoint(folder.path(), some(), 80);
  fs::resize_file(folder / "model-00002-of-00003.safetensors", 150);
  CHECK_THAT(open_error(folder.path()), ContainsSubstring("model-00002-of-00003.safetensors: truncated"));
}
