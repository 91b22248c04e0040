// LoRA on matrices that a file holds as one and a module apart, in PEFT's files.
#include "stacks.h"
#include "test_adapter_error.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <antiphon/weights/adapter.h>
#include <antiphon/weights/test_folder.h>
#include <antiphon/weights/test_stacked_layers.h>

using namespace antiphon;
using namespace antiphon::weights;
using Catch::Matchers::ContainsSubstring;

namespace {

// LoRA on q, k and v of both layers, or on some of them.
class Factors : public Module {
 public:
  Factors(int64_t rank, const std::vector<size_t>& on) {
    for (size_t layer = 0; layer < 2; ++layer)
      for (const auto i : on) {
        const auto site = fmt::format("model.layers.{}.{}", layer, kNames[i]);
        add(site + ".lora_A.weight", a[layer][i], {rank, 5}, Init::normal, Role::matrix);
        add(site + ".lora_B.weight", b[layer][i], {kRows[i], rank}, Init::normal, Role::matrix);
      }
    set_requires_grad(true);
  }
  at::Tensor a[2][3], b[2][3];
};

class Lora : public Peft {
 public:
  explicit Lora(int64_t r, const std::vector<size_t>& on = {0, 1, 2}) : factors(r, on), rank(r) {
    for (const auto i : on) targets.push_back(kNames[i]);
  }
  std::vector<std::string> attach(const PeftTarget&) override { return {}; }
  Module& module() override { return factors; }
  nlohmann::json adapter_config() const override {
    return {{"peft_type", "LORA"},       {"r", rank},
            {"lora_alpha", 6.0},         {"rank_pattern", patterns},
            {"alpha_pattern", patterns}, {"target_modules", targets}};
  }
  ForeignKeys config_keys() const override {
    return {.other = {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "target_modules"},
            .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override {
    return {"r", "lora_alpha", "rank_pattern", "alpha_pattern"};
  }
  std::string stack_layers(AdapterFile& file, const StackedPart& part) const override {
    return lora::into_stacks(file, part);
  }
  bool unstack_layers(AdapterFile& file, const StackedPart& part) override {
    return lora::out_of_stacks(file, *this, part);
  }
  void merge() override {}
  Factors factors;
  int64_t rank;
  nlohmann::json patterns = nlohmann::json::object();
  std::vector<std::string> targets;
};

const std::string kFirst = "base_model.model.model.layers.0.qkv";

// The change of the first layer's stack, as what is attached says it.
at::Tensor change_of(const Lora& lora) {
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < 3; ++i) {
    const auto& a = lora.factors.a[0][i];
    rows.push_back(a.defined() ? at::mm(lora.factors.b[0][i], a) * (6.0 / static_cast<double>(lora.rank))
                               : at::zeros({kRows[i], 5}));
  }
  return at::cat(rows).detach();
}

// As PEFT says it of the file.
at::Tensor change_in(const TestFolder& folder) {
  const Checkpoint file(folder / "adapter_model.safetensors");
  const auto config = nlohmann::json::parse(folder.read("adapter_config.json"));
  const auto number = [&](const char* pattern, const char* usual) {
    return config.at(pattern).value("qkv", config.at(usual).get<double>());
  };
  const auto a = file.tensor(kFirst + ".lora_A.weight"), b = file.tensor(kFirst + ".lora_B.weight");
  CHECK(number("rank_pattern", "r") == static_cast<double>(a.size(0)));
  return at::mm(b, a) * (number("alpha_pattern", "lora_alpha") / number("rank_pattern", "r"));
}

void write_peft(const TestFolder& folder, int64_t rank, const at::Tensor& b, const std::string& more = "",
                const std::string& start = "base_model.model.model.") {
  folder.write("adapter_config.json", fmt::format(R"({{"peft_type":"LORA","r":{},"lora_alpha":6.0{}}})", rank, more));
  NamedTensors tensors;
  for (int layer = 0; layer < 2; ++layer) {
    tensors.emplace_back(fmt::format("{}layers.{}.qkv.lora_A.weight", start, layer),
                         at::arange(rank * 5, at::kFloat).view({rank, 5}) + layer);
    tensors.emplace_back(fmt::format("{}layers.{}.qkv.lora_B.weight", start, layer), b);
  }
  save_safetensors(folder / "adapter_model.safetensors", tensors);
}

LoadReport load(const TestFolder& folder, Lora& lora, const NameMap& names = kStackedNames) {
  Layers layers;
  return load_adapter(folder.path(), lora, {}, {.name = "adapter"}, {}, StackedPart{names, layers});
}

std::string adapter_error(const TestFolder& folder, Lora lora) {
  return lora::adapter_error([&] { load(folder, lora); });
}

}  // namespace

TEST_CASE("LoRA on parts is written as LoRA on the stack with the sum of the ranks, and read again") {
  for (const auto& on : {std::vector<size_t>{0, 1, 2}, std::vector<size_t>{0, 2}, std::vector<size_t>{1}}) {
    const TestFolder folder;
    Layers layers;
    Lora lora(2, on), read(2, on);
    lora.factors.initialize(3, at::kCPU);
    save_adapter(folder.path(), lora, "", {}, {}, StackedPart{kStackedNames, layers});
    CHECK(Checkpoint(folder / "adapter_model.safetensors").names().size() == 4);
    CHECK(nlohmann::json::parse(folder.read("adapter_config.json")).at("target_modules") == nlohmann::json{"qkv"});
    CHECK(at::allclose(change_in(folder), change_of(lora), 1e-6, 1e-6));
    CHECK(load(folder, read).applied == static_cast<int64_t>(4 * on.size()));
    for (const auto i : on) {
      CHECK(at::equal(read.factors.a[1][i], lora.factors.a[1][i]));
      CHECK(at::equal(read.factors.b[1][i], lora.factors.b[1][i]));
    }
  }
}

TEST_CASE("LoRA that PEFT trained on a stack gives each part its rows") {
  const auto b = at::arange(16, at::kFloat).view({8, 2});
  for (const auto* start : {"base_model.model.model.", "base_model.model.", "base_model.model.language_model.model."}) {
    const TestFolder folder;
    write_peft(folder, 2, b, "", start);
    Lora lora(2);
    CHECK(load(folder, lora).applied == 12);
    CHECK(at::allclose(change_of(lora), at::mm(b, at::arange(10, at::kFloat).view({2, 5})) * 3));
    CHECK(lora.factors.a[0][1].requires_grad());
  }
  const TestFolder folder;
  write_peft(folder, 6, at::ones({8, 6}), R"(,"rank_pattern":{"qkv":6},"alpha_pattern":{"qkv":18.0})");
  folder.write("adapter_config.json",
               R"({"peft_type":"LORA","r":2,"lora_alpha":6.0,"rank_pattern":{"qkv":6},"alpha_pattern":{"qkv":18.0}})");
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("reaches model.layers.0.q by more than the rank 2"));
}

TEST_CASE("changes of stacks that are not those of what is attached are refused") {
  const TestFolder folder;
  const auto b = at::ones({8, 2});
  write_peft(folder, 2, b);
  CHECK(adapter_error(folder, Lora(2)).empty());
  CHECK_THAT(adapter_error(folder, Lora(2, {0, 2})), ContainsSubstring("reaches model.layers.0.k"));
  write_peft(folder, 2, b, R"(,"alpha_pattern":{"qkv":7})");
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("is multiplied by 3.5, and that of the attached"));
  write_peft(folder, 2, b, R"(,"rank_pattern":{"qkv":4})");
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("has rank 2, and its settings say 4"));
  write_peft(folder, 5, at::ones({8, 5}));
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("is multiplied by"));
  write_peft(folder, 2, at::ones({7, 2}));
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("not a pair of factors for 8 rows"));
  write_peft(folder, 2, b);
  save_safetensors(folder / "adapter_model.safetensors", {{kFirst + ".lora_A.weight", at::ones({2, 5})}});
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("not a pair of factors"));
  save_safetensors(folder / "adapter_model.safetensors", {{kFirst + ".ia3_l", at::ones({8, 1})}});
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("LoRA alone can be taken apart"));
}

TEST_CASE("ranks of their own leave the names as they are here, and are read again") {
  const TestFolder folder;
  Layers layers;
  Lora lora(2), read(2);
  lora.patterns = read.patterns = {{"nothing", 3}};
  lora.factors.initialize(3, at::kCPU);
  save_adapter(folder.path(), lora, "", {}, {}, StackedPart{kStackedNames, layers});
  CHECK(Checkpoint(folder / "adapter_model.safetensors").contains("base_model.model.model.layers.0.q.lora_A.weight"));
  CHECK(load(folder, read).applied == 12);
}
