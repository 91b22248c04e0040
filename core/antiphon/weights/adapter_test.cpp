#include <antiphon/weights/adapter.h>
#include <antiphon/weights/export.h>

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

class Factors : public Module {
 public:
  Factors() {
    for (size_t i = 0; i < 2; ++i) {
      add(fmt::format("layers.{}.q_proj.lora_A.weight", i), a_[i], {2, 4}, Init::linear_uniform, Role::matrix);
      add(fmt::format("layers.{}.q_proj.lora_B.weight", i), b_[i], {4, 2}, Init::normal_002, Role::matrix);
    }
    set_requires_grad(true);
  }
  at::Tensor a_[2], b_[2];
};

class Lora : public Peft {
 public:
  std::vector<std::string> attach(const PeftTarget&) override { return {}; }
  Module& module() override { return factors; }
  nlohmann::json adapter_config() const override {
    return {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", alpha}, {"target_modules", {"q_proj"}}};
  }
  ForeignKeys config_keys() const override {
    return {.fixed = {{"use_dora", {false}}},
            .other = {"peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "base_model_name_or_path"},
            .unknown_refused = true};
  }
  std::vector<std::string> compared_keys() const override { return {"r", "lora_alpha", "use_rslora"}; }
  void merge() override {}
  Factors factors;
  double alpha = 4;
};

const NameMap whole_rules{{{"model.layers.{}.self_attn.q_proj.{}", "layers.{}.q_proj.{}"}}, {}};
const NameMap exact_rules{{{"model.layers.{}.self_attn.q_proj.weight", "layers.{}.q_proj.weight"}}, {}};

std::string load_error(const TestFolder& folder, const NameMap& map = {}) {
  Lora lora;
  try {
    load_adapter(folder.path(), lora, map);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    CHECK(lora.factors.a_[0].is_meta());
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("an adapter is written under PEFT's names and read back") {
  for (const auto& map : {NameMap{}, whole_rules, exact_rules}) {
    const TestFolder folder;
    Lora saved, loaded;
    saved.factors.initialize(1, at::kCPU);
    save_adapter(folder.path(), saved, "org/base", map);
    const auto key = map.rules.empty() ? "base_model.model.layers.0.q_proj.lora_A.weight"
                                       : "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    CHECK(Checkpoint(folder / "adapter_model.safetensors").contains(key));
    CHECK(nlohmann::json::parse(folder.read("adapter_config.json")).at("base_model_name_or_path") == "org/base");
    const auto report = load_adapter(folder.path(), loaded, map);
    CHECK(report.applied == 4);
    CHECK(at::equal(loaded.factors.b_[1], saved.factors.b_[1]));
    CHECK(loaded.factors.b_[1].requires_grad());
  }
}

TEST_CASE("keys with the adapter's name are taken") {
  const TestFolder folder;
  folder.write(
      "adapter_config.json",
      R"({"peft_type":"LORA","r":2,"lora_alpha":4.0,"use_dora":false,"alpha_pattern":{},"modules_to_save":null})");
  NamedTensors tensors;
  for (int i = 0; i < 2; ++i) {
    tensors.emplace_back(fmt::format("base_model.model.layers.{}.q_proj.lora_A.default.weight", i), at::ones({2, 4}));
    tensors.emplace_back(fmt::format("base_model.model.layers.{}.q_proj.lora_B.default.weight", i), at::ones({4, 2}));
  }
  save_safetensors(folder / "adapter_model.safetensors", tensors);
  CHECK(load_error(folder).empty());
  tensors.emplace_back("base_model.model.layers.0.q_proj.lora_A.weight", at::ones({2, 4}));
  save_safetensors(folder / "adapter_model.safetensors", tensors);
  CHECK_THAT(load_error(folder), ContainsSubstring("1 given twice"));
}

TEST_CASE("an adapter of a whole model is taken under each of transformers' prefixes, and what is beside is refused") {
  const std::string parts[] = {"model.layers", "model.language_model.layers", "language_model.model.layers",
                               "language_model.layers", "layers"};
  for (const auto& place : parts) {
    const TestFolder folder;
    folder.write("adapter_config.json", R"({"peft_type":"LORA","r":2,"lora_alpha":4.0})");
    NamedTensors tensors;
    for (int i = 0; i < 2; ++i)
      for (const char* factor : {"A", "B"})
        tensors.emplace_back(
            fmt::format("base_model.model.{}.{}.self_attn.q_proj.lora_{}.weight", place, i, factor),
            at::full(factor[0] == 'A' ? at::IntArrayRef{2, 4} : at::IntArrayRef{4, 2}, static_cast<double>(i)));
    save_safetensors(folder / "adapter_model.safetensors", tensors);
    Lora lora;
    CHECK(load_adapter(folder.path(), lora, exact_rules).applied == 4);
    CHECK(at::equal(lora.factors.b_[1], at::ones({4, 2})));
    tensors.emplace_back("base_model.model.model.vision_tower.layers.0.self_attn.q_proj.lora_A.weight",
                         at::ones({2, 4}));
    save_safetensors(folder / "adapter_model.safetensors", tensors);
    CHECK_THAT(load_error(folder, exact_rules), ContainsSubstring("1 unexpected") && ContainsSubstring("vision_tower"));
  }
}

TEST_CASE("an adapter that fits nothing, or in part, or with other settings is refused") {
  const TestFolder folder;
  CHECK_THAT(load_error(folder), ContainsSubstring("has no adapter_config.json"));
  Lora lora;
  lora.factors.initialize(1, at::kCPU);
  save_adapter(folder.path(), lora, "", exact_rules);
  const auto none = load_error(folder);
  CHECK_THAT(none, ContainsSubstring("adapter: 0 of 4 parameters can be loaded") && ContainsSubstring("4 unexpected"));
  save_adapter(folder.path(), lora, "");
  NamedTensors part{{"base_model.model.layers.0.q_proj.lora_A.weight", at::ones({2, 4})}};
  save_safetensors(folder / "adapter_model.safetensors", part);
  CHECK_THAT(load_error(folder), ContainsSubstring("1 of 4 parameters") && ContainsSubstring("3 missing"));
  std::filesystem::remove(folder / "adapter_model.safetensors");
  CHECK_THAT(load_error(folder), ContainsSubstring("does not exist"));
  folder.write("adapter_model.bin", "\x80\x02");
  CHECK_THAT(load_error(folder), ContainsSubstring("adapter_model.bin is not a zip archive"));
  folder.write("adapter_config.json", R"({"peft_type":"LORA","r":2,"lora_alpha":8})");
  CHECK_THAT(load_error(folder), ContainsSubstring("lora_alpha is 8, but the attached adapter has 4"));
  folder.write("adapter_config.json", R"({"peft_type":"LORA","r":2,"lora_alpha":4,"use_dora":true})");
  CHECK_THAT(load_error(folder), ContainsSubstring("use_dora is true"));
}

namespace {

struct Head : Module {
  Head() {
    add("weight", weight, {3, 4}, Init::ones, Role::matrix);
    add("bias", bias, {3}, Init::ones, Role::vector);
  }
  std::vector<Parameter> named() {
    auto all = parameters();
    for (auto& parameter : all) parameter.name = "lm_head." + parameter.name;
    return all;
  }
  at::Tensor weight, bias;
};

// Names what it trains of the part in a way of its own.
struct OwnKeys : Lora {
  std::string key_of(const std::string& parameter) const override {
    return parameter == "lm_head.bias" ? "base_model.model.lm_head.base_layer.bias" : Lora::key_of(parameter);
  }
};

// On a table, of which PEFT writes a copy.
struct OnTable : Lora {
  // Of the first the process has a part: rows 1 and 2.
  std::vector<Parameter> copies_of_part() const override {
    return {
        {.name = "base_model.model.model.embed_tokens.base_layer.weight", .tensor = &own, .box = Box{{4, 3}, {1, 0}}},
        {.name = "base_model.model.lm_head.weight", .tensor = &twice}};
  }
  // The first factor lies in the file once more.
  std::vector<std::pair<std::string, std::string>> repeated_keys() const override {
    return {{"base_model.model.lm_head.again", "base_model.model.layers.0.q_proj.lora_A.weight"}};
  }
  const at::Tensor table = at::arange(12, at::kFloat).view({4, 3}).to(at::kBFloat16);
  mutable at::Tensor own = table.narrow(0, 1, 2), twice = table * 2;
};

}  // namespace

TEST_CASE("a copy of a table beside an adapter must be what the part has, and is not read") {
  const TestFolder folder;
  OnTable saved;
  saved.factors.initialize(1, at::kCPU);
  const auto with = [&](const std::string& key, const at::Tensor& copy) {
    auto file = adapter_file(folder.path().string(), saved, {}, {}, std::nullopt);
    file.tensors.emplace_back(key, copy);
    write_adapter(folder.path(), std::move(file), "");
    OnTable loaded;
    return load_adapter(folder.path(), loaded);
  };
  const std::string name = "model.embed_tokens.base_layer.weight";
  for (const std::string start : {"base_model.model.", "base_model.model.model.language_model."}) {
    const auto key = start + (start.size() > 20 ? name.substr(6) : name);
    const auto report = with(key, saved.table.to(at::kFloat));
    CHECK(report.applied == 4);
    CHECK(report.ignored == 1);
    CHECK_THROWS_WITH(with(key, saved.table + 1), ContainsSubstring("has other values than the model's [4, 3]"));
    auto others = saved.table.clone();
    others[0].zero_();  // another process compares them
    CHECK(with(key, others).ignored == 1);
    CHECK_THROWS_WITH(with(key, saved.table.narrow(0, 0, 3)), ContainsSubstring("[3, 3]"));
    CHECK_THROWS_WITH(with(key, at::cat({saved.table, saved.table})),
                      ContainsSubstring("has 8 rows, one for each token, and the model's table has 4"));
  }
  CHECK(with("base_model.model.lm_head.weight", saved.table * 2).ignored == 1);
  CHECK_THROWS_WITH(with("base_model.model.lm_head.weight", saved.table),
                    ContainsSubstring("has other values than the model's"));
  const auto& first = *saved.factors.parameters().front().tensor;
  const std::string again = "base_model.model.lm_head.again";
  CHECK(with(again, first).ignored == 1);
  CHECK_THROWS_WITH(with(again, first + 1), ContainsSubstring(again + "' differ, and are one in this model"));
  CHECK_THROWS_AS(with("base_model.model.model.norm.base_layer.weight", saved.table), Error);
}

TEST_CASE("what a method trains of the part itself lies in its folder, and is read back as the part's") {
  const TestFolder folder;
  OwnKeys saved, loaded;
  Head trained, read;
  saved.factors.initialize(1, at::kCPU), trained.initialize(1, at::kCPU), read.initialize(1, at::kCPU);
  trained.weight.mul_(3), trained.bias.mul_(5);
  read.set_requires_grad(true);
  save_adapter(folder.path(), saved, "", {}, trained.named());
  const Checkpoint file(folder / "adapter_model.safetensors");
  CHECK(file.contains("base_model.model.lm_head.weight"));
  CHECK(file.contains("base_model.model.lm_head.base_layer.bias"));
  CHECK(load_adapter(folder.path(), loaded, {}, {.name = "adapter"}, read.named()).applied == 6);
  CHECK(at::equal(read.weight, trained.weight));
  CHECK(at::equal(read.bias, trained.bias));
  CHECK(read.weight.requires_grad());
  CHECK_THAT(load_error(folder), ContainsSubstring("2 unexpected"));
  save_adapter(folder.path(), saved, "");
  OwnKeys again;
  CHECK_THROWS_AS(load_adapter(folder.path(), again, {}, {.name = "adapter"}, read.named()), Error);
}

TEST_CASE("a checkpoint of some parameters leaves the others as they are, if that is wanted") {
  const TestFolder folder;
  Head head;
  head.initialize(1, at::kCPU);
  save_safetensors(folder / "some.safetensors", {{"bias", at::full({3}, 7.0)}});
  const Checkpoint some(folder / "some.safetensors");
  const NameMap same{{{"{}", "{}"}}, {}, {}};
  CHECK_THROWS_AS(load_parameters(head, some, same), Error);
  CHECK(load_parameters(head, some, same, {.partial = true}).applied == 1);
  CHECK(head.bias.min().item<double>() == 7);
  CHECK(head.weight.max().item<double>() == 1);
  save_safetensors(folder / "other.safetensors", {{"bais", at::full({3}, 7.0)}});
  CHECK_THROWS_AS(load_parameters(head, Checkpoint(folder / "other.safetensors"), same, {.partial = true}), Error);
}

TEST_CASE("an adapter on a layer that the map does not name is refused") {
  const TestFolder folder;
  Lora lora;
  lora.factors.initialize(1, at::kCPU);
  CHECK_THROWS_AS(save_adapter(folder.path(), lora, "", NameMap{{{"x", "y"}}, {}, {}}), Error);
  CHECK(folder.count() == 0);
}

TEST_CASE("a module is exported under its checkpoint names and loads again") {
  const TestFolder folder;
  Factors module, again;
  module.initialize(3, at::kCPU);
  save_pretrained(folder.path(), module, whole_rules, {{"model_type", "test"}}, 40);
  CHECK(nlohmann::json::parse(folder.read("config.json")).at("model_type") == "test");
  const Checkpoint checkpoint(folder.path());
  CHECK(checkpoint.contains("model.layers.1.self_attn.q_proj.lora_B.weight"));
  CHECK(load_parameters(again, checkpoint, whole_rules).applied == 4);
  CHECK(at::equal(again.a_[1], module.a_[1]));
}

TEST_CASE("an export that would lose a parameter is refused") {
  Factors module;
  const auto text = [&](const NameMap& map) {
    try {
      checkpoint_tensors(module, map);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(text(whole_rules),
             ContainsSubstring("0 of 4 parameters can be saved") && ContainsSubstring("4 without values"));
  module.initialize(3, at::kCPU);
  CHECK_THAT(text({{{"a.{}", "layers.0.{}"}}, {}}),
             ContainsSubstring("2 of 4") && ContainsSubstring("layers.1.q_proj.lora_A.weight"));
  CHECK_THAT(text({{{"a.{}", "layers.0.{}"}, {"a.{}", "layers.1.{}"}}, {}}),
             ContainsSubstring("2 under one name:\n    a.q_proj.lora_A.weight: from 'layers.0"));
  CHECK(text(whole_rules).empty());
}
