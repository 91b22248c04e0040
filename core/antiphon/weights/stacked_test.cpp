// Matrices that a file holds as one and a module apart, and adapters on them.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/export.h>
#include <antiphon/weights/stacked.h>
#include <antiphon/weights/test_folder.h>
#include <antiphon/weights/test_stacked_layers.h>

using namespace antiphon;
using namespace antiphon::weights;
using Catch::Matchers::ContainsSubstring;

namespace {

const NameMap within{kStackedNames.rules, {}, {{"language_model.{}", "{}"}}};

NamedTensors file_tensors(const Layers& layers, const std::string& before = "") {
  NamedTensors all;
  for (size_t layer = 0; layer < 2; ++layer) {
    all.emplace_back(fmt::format("{}model.layers.{}.o.weight", before, layer), layers.o[layer]);
    all.emplace_back(fmt::format("{}model.layers.{}.qkv.weight", before, layer),
                     at::cat({layers.parts[layer][0], layers.parts[layer][1], layers.parts[layer][2]}));
  }
  return all;
}

std::string load_error(const TestFolder& folder, const NamedTensors& tensors) {
  save_safetensors(folder / "model.safetensors", tensors);
  Layers layers;
  try {
    load_parameters(layers, Checkpoint(folder.path()), kStackedNames);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    CHECK(layers.o[0].is_meta());
    return error.what();
  }
  return {};
}

// A method whose keys no other has: a scale for each row. `joins`: it knows what they are on a stack.
class RowScale : public Peft, private Module {
 public:
  explicit RowScale(bool can_join) : joins(can_join) {
    for (size_t i = 0; i < 3; ++i)
      add(fmt::format("model.layers.0.{}.row_scale", kNames[i]), scales[i], {kRows[i]}, Init::normal, Role::vector);
  }
  std::vector<std::string> attach(const PeftTarget&) override { return {}; }
  Module& module() override { return *this; }
  nlohmann::json adapter_config() const override { return {{"peft_type", "ROW_SCALE"}}; }
  ForeignKeys config_keys() const override { return {.other = {"peft_type", "rows"}, .unknown_refused = true}; }
  std::vector<std::string> compared_keys() const override { return {}; }
  void merge() override {}

  std::string stack_layers(AdapterFile& file, const StackedPart& part) const override {
    if (!joins) return Peft::stack_layers(file, part);
    std::vector<at::Tensor> rows;
    for (const auto& [key, value] : file.tensors) rows.push_back(value);
    file.tensors = {{kStack, at::cat(rows)}};
    file.config["rows"] = file.tensors.front().second.size(0);
    return {};
  }
  bool unstack_layers(AdapterFile& file, const StackedPart& part) override {
    if (!joins || file.tensors.front().first != kStack) return Peft::unstack_layers(file, part);
    const auto rows = file.tensors.front().second.split_with_sizes({4, 2, 2});
    file.tensors.clear(), file.config.erase("rows");
    for (size_t i = 0; i < 3; ++i)
      file.tensors.emplace_back(fmt::format("base_model.model.model.layers.0.{}.row_scale", kNames[i]), rows[i]);
    return true;
  }

  static inline const std::string kStack = "base_model.model.model.layers.0.qkv.row_scale";
  at::Tensor scales[3];
  bool joins;
};

}  // namespace

TEST_CASE("parts are read out of their stack, and written as it, byte for byte") {
  const TestFolder folder;
  Layers layers, read;
  layers.initialize(1, at::kCPU);
  for (const auto& [names, before] : {std::pair{kStackedNames, ""}, std::pair{within, "language_model."}}) {
    const auto tensors = file_tensors(layers, before);
    save_safetensors(folder / "model.safetensors", tensors);
    const Checkpoint file(folder.path());
    CHECK(load_parameters(read, file, names).applied == 8);
    for (size_t i = 0; i < 3; ++i) CHECK(at::equal(read.parts[1][i], layers.parts[1][i]));
    // They are where the file is mapped, one behind the other, and no copies.
    CHECK(read.parts[0][1].const_data_ptr<float>() == read.parts[0][0].const_data_ptr<float>() + 4 * 5);
    const TestFolder again;
    save_pretrained(again.path(), read, names, {{"model_type", "test"}});
    const Checkpoint written(again.path());
    REQUIRE(written.names().size() == tensors.size());
    for (const auto& [name, value] : tensors) CHECK(at::equal(written.tensor(name), value));
  }
}

TEST_CASE("stacks of other rows, parts that are missing and parts beside a stack are refused") {
  const TestFolder folder;
  Layers layers;
  layers.initialize(1, at::kCPU);
  auto tensors = file_tensors(layers);
  CHECK(load_error(folder, tensors).empty());
  auto wrong = tensors;
  wrong[1].second = at::ones({9, 5});
  CHECK_THAT(load_error(folder, wrong),
             ContainsSubstring("'model.layers.0.qkv.weight' is [9, 5]; layers.0.q.weight, layers.0.k.weight, "
                               "layers.0.v.weight have 8 rows together"));
  wrong[1].second = at::ones({8, 6});
  CHECK_THAT(load_error(folder, wrong), ContainsSubstring("expected [4, 5], got [4, 6]"));
  wrong[1].second = at::ones({});
  CHECK_THAT(load_error(folder, wrong), ContainsSubstring("8 rows together"));
  wrong.erase(wrong.begin() + 1);
  CHECK_THAT(load_error(folder, wrong), ContainsSubstring("model.layers.0.k.weight"));
  wrong = tensors;
  wrong.emplace_back("model.layers.0.q.weight", at::ones({4, 5}));
  CHECK_THAT(load_error(folder, wrong), ContainsSubstring("model.layers.0.q.weight"));
  LazyTensors half = lazy(NamedTensors{{"model.layers.0.q.weight", at::ones({4, 5})}});
  CHECK_THROWS_AS(stacked(half, kStackedNames), Error);
}

TEST_CASE("a file of parts is taken as it is") {
  const TestFolder folder;
  Layers layers, read;
  layers.initialize(1, at::kCPU);
  save_safetensors(folder / "model.safetensors", checkpoint_tensors(layers, kStackedNames));
  load_parameters(read, Checkpoint(folder.path()), kStackedNames);
  CHECK(at::equal(read.parts[0][2], layers.parts[0][2]));
}

TEST_CASE("what a method's file says of a stack the method says itself") {
  for (const bool joins : {true, false}) {
    const TestFolder folder;
    Layers layers;
    RowScale written(joins), read(joins);
    written.module().initialize(3, at::kCPU);
    save_adapter(folder.path(), written, "", {}, {}, StackedPart{kStackedNames, layers});
    const Checkpoint file(folder / "adapter_model.safetensors");
    CHECK(file.contains(RowScale::kStack) == joins);
    CHECK(file.names().size() == (joins ? 1 : 3));
    CHECK(nlohmann::json::parse(folder.read("adapter_config.json")).contains("rows") == joins);
    CHECK(load_adapter(folder.path(), read, {}, {.name = "adapter"}, {}, StackedPart{kStackedNames, layers}).applied ==
          3);
    for (size_t i = 0; i < 3; ++i) CHECK(at::equal(read.scales[i], written.scales[i]));
  }
}

TEST_CASE("a method is not asked about layers that are not part of a stack") {
  const TestFolder folder;
  Layers layers;
  RowScale written(true);
  written.module().initialize(3, at::kCPU);
  const NameMap other{
      {{"model.layers.{}.op.{}", "layers.{}.[o,p].{}"}, {"model.layers.{}.{}", "layers.{}.{}"}}, {}, {}};
  save_adapter(folder.path(), written, "", {}, {}, StackedPart{other, layers});
  CHECK(Checkpoint(folder / "adapter_model.safetensors").names().size() == 3);
}

namespace {

constexpr int64_t kExperts = 3;

// Two layers of experts, each with a gate and an up [4, 5], and a down [5, 4].
class Experts : public Module {
 public:
  Experts() {
    for (size_t layer = 0; layer < 2; ++layer)
      for (size_t expert = 0; expert < kExperts; ++expert)
        for (size_t i = 0; i < 3; ++i)
          add(fmt::format("layers.{}.experts.{}.{}.weight", layer, expert, std::array{"gate", "up", "down"}[i]),
              parts[layer][expert][i], {i < 2 ? 4 : 5, i < 2 ? 5 : 4}, Init::normal, Role::matrix);
    set_requires_grad(false);
  }
  at::Tensor parts[2][kExperts][3];
};

NameMap expert_names(bool transposed, bool read_only) {
  const std::string end = transposed ? "'" : "";
  return {{{"model.{}.experts.gate_up", "layers.{}.experts.*.[gate,up].weight" + end, read_only},
           {"model.{}.experts.down", "layers.{}.experts.*.down.weight" + end, read_only},
           {"model.{}.{}", "layers.{}.{}"}},
          {},
          {}};
}

NamedTensors of_experts(const Experts& module, bool transposed) {
  NamedTensors all;
  for (size_t layer = 0; layer < 2; ++layer) {
    std::vector<at::Tensor> gate_up, down;
    for (const auto& expert : module.parts[layer])
      gate_up.push_back(at::cat({expert[0], expert[1]})), down.push_back(expert[2]);
    for (const auto& [name, list] : {std::pair{"gate_up", &gate_up}, {"down", &down}}) {
      const auto whole = at::stack(*list);
      all.emplace_back(fmt::format("model.{}.experts.{}", layer, name),
                       transposed ? whole.transpose(1, 2).contiguous() : whole);
    }
  }
  return all;
}

}  // namespace

TEST_CASE(
    "experts that a file has in one tensor are read apart, in both orders of their sides, and written as they were") {
  Experts module;
  module.initialize(3, at::kCPU);
  for (const bool transposed : {false, true}) {
    const TestFolder folder, again;
    const auto names = expert_names(transposed, false);
    const auto written = of_experts(module, transposed);
    save_safetensors(folder / "model.safetensors", written);
    Experts read;
    load_parameters(read, Checkpoint(folder.path()), names);
    for (size_t layer = 0; layer < 2; ++layer)
      for (size_t expert = 0; expert < kExperts; ++expert)
        for (size_t i = 0; i < 3; ++i) CHECK(at::equal(read.parts[layer][expert][i], module.parts[layer][expert][i]));
    save_pretrained(again.path(), read, names, {{"model_type", "test"}});
    const Checkpoint file(again.path());
    REQUIRE(file.names().size() == written.size());
    for (const auto& [name, tensor] : written) CHECK(at::equal(file.tensor(name), tensor));
    // Another spelling is read, and the parts are written.
    const TestFolder apart;
    save_pretrained(apart.path(), read, expert_names(transposed, true), {{"model_type", "test"}});
    const Checkpoint parts(apart.path());
    CHECK(parts.names().size() == 2 * kExperts * 3);
    CHECK(at::equal(parts.tensor("model.0.experts.1.up.weight"), module.parts[0][1][1]));
    Experts other;
    load_parameters(other, Checkpoint(folder.path()), expert_names(transposed, true));
    CHECK(at::equal(other.parts[1][2][1], module.parts[1][2][1]));
  }
}

TEST_CASE("experts in one tensor that the model does not have so are refused") {
  Experts module;
  module.initialize(3, at::kCPU);
  const auto written = of_experts(module, false);
  for (const auto& changed :
       {written[0].second.narrow(0, 0, 2).contiguous(), written[0].second.narrow(1, 0, 6).contiguous(),
        written[0].second.flatten(0, 1), at::cat({written[0].second, written[0].second})}) {
    const TestFolder folder;
    auto tensors = written;
    tensors[0].second = changed;
    save_safetensors(folder / "model.safetensors", tensors);
    Experts read;
    CHECK_THROWS_WITH(
        load_parameters(read, Checkpoint(folder.path()), expert_names(false, false)),
        ContainsSubstring("model.0.experts.gate_up") && ContainsSubstring("8 rows together, of each of 3 experts"));
  }
}
