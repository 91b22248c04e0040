// Checkpoints in 4 bits as transformers saves them, made by the definition.
#include <antiphon/weights/bitsandbytes.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/weights/checkpoint.h>
#include <antiphon/weights/test_folder.h>

#include <map>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::weights;

namespace {

at::Tensor bytes_of(const std::string& text) {
  const auto bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.mutable_data_ptr<uint8_t>());
  return bytes;
}

std::map<std::string, at::Tensor> stored(bool nested) {
  const auto extra = nested ? R"(, "nested_blocksize": 2, "nested_dtype": "float32", "nested_offset": 0.25)" : "";
  std::map<std::string, at::Tensor> all{
      {"m.weight", at::arange(5, at::kByte).add(0x1e).view({5, 1})},  // 1e 1f 20 21 22
      {"m.weight.quant_map", at::arange(16, at::kFloat).sub(8)},
      {"m.weight.quant_state.bitsandbytes__nf4",
       bytes_of(
           fmt::format(R"({{"quant_type": "nf4", "blocksize": 4, "dtype": "float32", "shape": [3, 3]{}}})", extra))}};
  if (nested) {
    all["m.weight.absmax"] = at::tensor(std::vector<uint8_t>{3, 0, 255});
    all["m.weight.nested_absmax"] = at::tensor(std::vector<float>{2, 10});
    all["m.weight.nested_quant_map"] = at::arange(256, at::kFloat);
  } else {
    all["m.weight.absmax"] = at::tensor(std::vector<float>{2, 10, 0.5});
  }
  return all;
}

FindTensor found_in(const std::map<std::string, at::Tensor>& tensors) {
  return [&tensors](const std::string& name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? std::nullopt : std::optional(found->second);
  };
}

}  // namespace

TEST_CASE("4 bits: the first number of a byte is its high half; a scale for each block, the last one short") {
  const auto tensors = stored(false);
  // 1 e 1 f | 2 0 2 1 | 2, less 8, times 2, 10, 0.5
  CHECK(at::equal(FourBits("m.weight", found_in(tensors)).values(),
                  at::tensor(std::vector<float>{-14, 12, -14, 14, -60, -80, -60, -70, -3}).view({3, 3})));
}

TEST_CASE("4 bits: scales that are numbers of 8 bits themselves") {
  const auto tensors = stored(true);
  const auto y = FourBits("m.weight", found_in(tensors)).values();
  // 3 * 2, 0 * 2 and 255 * 10, and 0.25 more
  CHECK(at::equal(y, at::tensor(std::vector<float>{-7 * 6.25f, 6 * 6.25f, -7 * 6.25f, 7 * 6.25f, -6 * 0.25f, -8 * 0.25f,
                                                   -6 * 0.25f, -7 * 0.25f, -6 * 2550.25f})
                         .view({3, 3})));
}

TEST_CASE("4 bits: a checkpoint gives what the values stand for, and hides their state; halves in other shards, too") {
  for (const uint64_t shard : {uint64_t{5'000'000'000}, uint64_t{16}}) {
    const TestFolder folder;
    NamedTensors tensors{{"norm", at::ones({2})}};
    for (const auto& [name, tensor] : stored(true)) tensors.emplace_back(name, tensor);
    save_checkpoint(folder.path(), tensors, shard);
    const Checkpoint checkpoint(folder.path());
    auto names = checkpoint.names();
    std::ranges::sort(names);
    CHECK(names == std::vector<std::string>{"m.weight", "norm"});
    CHECK(checkpoint.info("m.weight").shape == std::vector<uint64_t>{3, 3});
    CHECK(checkpoint.info("m.weight").dtype == Dtype::F32);
    CHECK(checkpoint.tensor("m.weight").sizes() == at::IntArrayRef({3, 3}));
    CHECK(checkpoint.slice("m.weight", 1, 2).equal(checkpoint.tensor("m.weight").narrow(0, 1, 1)));
  }
}

TEST_CASE("4 bits: what bitsandbytes does not write is refused, with the matrix's name") {
  const auto refused = [](const char* name, const at::Tensor& value) {
    auto tensors = stored(true);
    tensors[name] = value;
    if (!value.defined()) tensors.erase(name);
    try {
      FourBits("m.weight", found_in(tensors));
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::weights);
      CHECK(error.message().find("m.weight") != std::string::npos);
      return true;
    }
    return false;
  };
  for (const auto* name : {"m.weight", "m.weight.quant_map", "m.weight.absmax", "m.weight.nested_absmax",
                           "m.weight.nested_quant_map", "m.weight.quant_state.bitsandbytes__nf4"}) {
    INFO(name);
    CHECK(refused(name, {}));
    CHECK(refused(name, at::zeros({7}, at::kFloat)));
    CHECK(refused(name, at::zeros({7}, at::kByte)));
  }
  const char* rest = R"("blocksize": 4, "dtype": "float32")";
  for (const auto& state :
       {std::string("nonsense"), std::string("[]"), fmt::format(R"({{{}}})", rest),
        fmt::format(R"({{"shape": [3], {}}})", rest), fmt::format(R"({{"shape": [-3, -3], {}}})", rest),
        fmt::format(R"({{"shape": [1099511627776, 1099511627776], {}}})", rest),
        std::string(R"({"shape": [3, 3], "blocksize": 0, "dtype": "float32"})"),
        std::string(R"({"shape": [3, 3], "blocksize": 4, "dtype": "float8"})"),
        std::string(R"({"shape": [3, 3], "blocksize": 4, "dtype": 7})"),
        std::string(R"({"shape": [3, 3], "blocksize": 4, "dtype": "float32", "nested_blocksize": 2})")}) {
    INFO(state);
    CHECK(refused("m.weight.quant_state.bitsandbytes__nf4", bytes_of(state)));
  }
}
