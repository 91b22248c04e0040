#include <antiphon/weights/load.h>

#include <filesystem>
#include <fstream>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <antiphon/base/error.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/weights/test_folder.h>

using namespace antiphon;
using namespace antiphon::weights;
using Catch::Matchers::ContainsSubstring;

namespace {

class Pair : public Module {
 public:
  explicit Pair(int64_t layers = 1) : weights_(static_cast<size_t>(layers)), biases_(static_cast<size_t>(layers)) {
    for (size_t i = 0; i < weights_.size(); ++i) {
      add(fmt::format("layers.{}.weight", i), weights_[i], {2, 3}, Init::zeros, Role::matrix);
      add(fmt::format("layers.{}.bias", i), biases_[i], {2}, Init::zeros, Role::vector);
    }
  }
  at::Tensor& weight() { return weights_[0]; }
  at::Tensor& bias() { return biases_[0]; }

 private:
  std::vector<at::Tensor> weights_, biases_;
};

const NameMap map{{{"model.blocks.{}.w", "layers.{}.weight"}, {"model.blocks.{}.b", "layers.{}.bias"}},
                  {"lm_head.weight"}};

NamedTensors values(at::ScalarType type = at::kFloat) {
  return {{"model.blocks.0.w", at::arange(6).view({2, 3}).to(type)},
          {"model.blocks.0.b", at::full({2}, 0.5).to(type)},
          {"lm_head.weight", at::ones({4})}};
}

std::string load_error(Module& module, const NamedTensors& tensors, const NameMap& names = map) {
  const TestFolder folder;
  save_safetensors(folder / "model.safetensors", tensors);
  try {
    load_parameters(module, Checkpoint(folder.path()), names, {.name = "model.llm"});
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::weights);
    return error.what();
  }
  return {};
}

struct Wide : Module {
  Wide() { add("weight", weight, {1024, 1024}, Init::zeros, Role::matrix); }
  at::Tensor weight;
};

// KiB of the file that are mapped and in this process's memory.
int64_t resident_kib(const std::filesystem::path& file) {
  std::ifstream maps("/proc/self/smaps");
  bool in_file = false;
  int64_t sum = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ')) in_file = line.ends_with(file.string());
    if (in_file && line.starts_with("Rss:")) sum += std::stoll(line.substr(4));
  }
  return sum;
}

}  // namespace

TEST_CASE("what was copied out of a file leaves the memory, what is used in place stays") {
  const TestFolder folder;
  const auto file = folder / "model.safetensors";
  const NameMap as_they_are{{{"{}", "{}"}}, {}, {}};
  save_safetensors(file, {{"weight", at::full({1024, 1024}, 2.0)}});
  const Checkpoint checkpoint(file);
  Wide copied, mapped;
  copied.set_requires_grad(true);
  load_parameters(copied, checkpoint, as_they_are);
  CHECK(resident_kib(file) < 100);
  load_parameters(mapped, checkpoint, as_they_are);
  CHECK(mapped.weight.sum().item<double>() == 2.0 * 1024 * 1024);
  CHECK(resident_kib(file) > 4000);
  CHECK(copied.weight.sum().item<double>() == 2.0 * 1024 * 1024);
}

TEST_CASE("frozen parameters view the file, trainable ones own their memory, and the file stays as it was") {
  const TestFolder folder;
  save_safetensors(folder / "model.safetensors", values());
  const auto before = folder.read("model.safetensors");
  Pair module;
  module.bias().set_requires_grad(true);
  {
    const Checkpoint checkpoint(folder.path());
    const auto report = load_parameters(module, checkpoint, map);
    CHECK(report.applied == 2);
    CHECK(report.total == 2);
    CHECK(report.ignored == 1);
    CHECK(report.bytes == 32);
    CHECK(module.weight().const_data_ptr() == checkpoint.tensor("model.blocks.0.w").const_data_ptr());
    CHECK(module.bias().const_data_ptr() != checkpoint.tensor("model.blocks.0.b").const_data_ptr());
  }
  CHECK_FALSE(module.weight().requires_grad());
  CHECK(module.bias().requires_grad());
  CHECK(at::equal(module.weight(), at::arange(6, at::kFloat).view({2, 3})));
  module.weight().add_(1);
  CHECK(module.weight()[0][0].item<float>() == 1);
  CHECK(folder.read("model.safetensors") == before);
}

TEST_CASE("types are converted as asked, frozen and trainable apart") {
  const TestFolder folder;
  save_safetensors(folder / "model.safetensors", values(at::kBFloat16));
  const Checkpoint checkpoint(folder.path());
  Pair module;
  module.bias().set_requires_grad(true);
  load_parameters(module, checkpoint, map);
  CHECK(module.weight().scalar_type() == at::kBFloat16);
  CHECK(module.bias().scalar_type() == at::kFloat);
  load_parameters(module, checkpoint, map, {.frozen_dtype = at::kFloat, .trainable_dtype = std::nullopt});
  CHECK(module.weight().scalar_type() == at::kFloat);
  CHECK(module.bias().scalar_type() == at::kBFloat16);
  CHECK(module.bias().const_data_ptr() != checkpoint.tensor("model.blocks.0.b").const_data_ptr());
  CHECK(at::equal(module.bias().detach().to(at::kFloat), at::full({2}, 0.5)));
}

TEST_CASE("frozen matrices take a type of their own, vectors and trained ones do not") {
  const TestFolder folder;
  save_safetensors(folder / "model.safetensors", values(at::kFloat));
  const Checkpoint checkpoint(folder.path());
  const LoadOptions options{.frozen_dtype = at::kFloat, .matrix_dtype = at::kBFloat16};
  Pair module;
  load_parameters(module, checkpoint, map, options);
  CHECK(module.weight().scalar_type() == at::kBFloat16);
  CHECK(module.bias().scalar_type() == at::kFloat);
  module.weight().set_requires_grad(false);
  cast_parameters(module, {.frozen_dtype = at::kFloat});
  CHECK(module.weight().scalar_type() == at::kFloat);
  cast_parameters(module, options);
  CHECK(module.weight().scalar_type() == at::kBFloat16);
  Pair trained;
  trained.set_requires_grad(true);
  load_parameters(trained, checkpoint, map, options);
  CHECK(trained.weight().scalar_type() == at::kFloat);
}

TEST_CASE("running statistics of a trained module are its own and float32; those of a frozen one stay in the file") {
  struct Normed : Module {
    Normed() {
      add("weight", weight, {2}, Init::ones, Role::vector);
      add_fixed("running_mean", mean, {2}, Init::zeros);
    }
    at::Tensor weight, mean;
  };
  const TestFolder folder;
  const NameMap as_they_are{{{"{}", "{}"}}, {}, {}};
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    save_safetensors(folder / "model.safetensors",
                     {{"weight", at::ones({2}).to(type)}, {"running_mean", at::ones({2}).to(type)}});
    const Checkpoint checkpoint(folder.path());
    const auto* in_file = checkpoint.tensor("running_mean").const_data_ptr();
    Normed trained, frozen;
    trained.set_requires_grad(true);
    for (auto* module : {&trained, &frozen}) load_parameters(*module, checkpoint, as_they_are, {.frozen_dtype = type});
    CHECK(trained.mean.const_data_ptr() != in_file);
    CHECK(trained.mean.scalar_type() == at::kFloat);
    CHECK_FALSE(trained.mean.requires_grad());
    CHECK(frozen.mean.const_data_ptr() == in_file);
    cast_parameters(trained, {.frozen_dtype = at::kBFloat16});
    CHECK(trained.mean.scalar_type() == at::kFloat);
  }
}

TEST_CASE("missing, unexpected, mismatched and doubled names are one error that changes nothing") {
  Pair module(2);
  const auto text = load_error(module, {{"model.blocks.0.w", at::ones({3, 2})},
                                        {"model.blocks.1.w", at::ones({2, 3}, at::kChar)},
                                        {"model.blocks.0.b", at::ones({2})},
                                        {"other.x", at::ones({1})}});
  CHECK_THAT(text, ContainsSubstring("model.llm: 1 of 4 parameters can be loaded"));
  CHECK_THAT(text, ContainsSubstring("1 missing from the checkpoint:\n    model.blocks.1.b"));
  CHECK_THAT(text, ContainsSubstring("1 unexpected in the checkpoint:\n    other.x"));
  CHECK_THAT(text, ContainsSubstring("layers.0.weight: expected [2, 3], got [3, 2] from 'model.blocks.0.w'"));
  CHECK_THAT(text, ContainsSubstring("layers.1.weight: 'model.blocks.1.w' is I8"));
  CHECK(module.bias().is_meta());

  auto two_spellings = map;
  two_spellings.rules.push_back({"old.{}.b", "layers.{}.bias"});
  Pair one;
  auto doubled = values();
  doubled.emplace_back("old.0.b", at::ones({2}));
  CHECK_THAT(load_error(one, doubled, two_spellings),
             ContainsSubstring("1 given twice:\n    layers.0.bias: from 'old.0.b' and 'model.blocks.0.b'") ||
                 ContainsSubstring("1 given twice:\n    layers.0.bias: from 'model.blocks.0.b' and 'old.0.b'"));
}

TEST_CASE("the first 20 of many names are listed, with their count") {
  Pair module(30);
  const auto text = load_error(module, values());
  CHECK_THAT(text, ContainsSubstring("58 missing from the checkpoint"));
  CHECK_THAT(text, ContainsSubstring("model.blocks.10.b\n"));
  CHECK_THAT(text, !ContainsSubstring("model.blocks.11.w"));
  CHECK_THAT(text, ContainsSubstring("... and 38 more"));
}

TEST_CASE("a prefix that explains every missing name is suggested") {
  // The names of vllm#34186: transformers moved model.layers to model.language_model.layers.
  const NameMap names{{{"model.layers.{}.w", "layers.{}.weight"}, {"model.layers.{}.b", "layers.{}.bias"}}, {}};
  Pair removed, added, neither;
  CHECK_THAT(load_error(removed,
                        {{"vlm.model.layers.0.w", at::ones({2, 3})},
                         {"vlm.model.layers.0.b", at::ones({2})},
                         {"vision.x", at::ones({1})}},
                        names),
             ContainsSubstring("all 2 missing names would match with the prefix 'vlm.' removed"));
  CHECK_THAT(load_error(added, {{"layers.0.w", at::ones({2, 3})}, {"layers.0.b", at::ones({2})}}, names),
             ContainsSubstring("all 2 missing names would match with the prefix 'model.' added"));
  CHECK_THAT(load_error(neither, {{"vlm.model.layers.0.w", at::ones({2, 3})}}, names), !ContainsSubstring("prefix"));
}

TEST_CASE("a module without parameters is an error, not a silent success") {
  Pair nothing(0);
  CHECK_THAT(load_error(nothing, {{"lm_head.weight", at::ones({4})}}), ContainsSubstring("no parameters to load"));
}

TEST_CASE("the JSON files of a folder are read, and errors say where") {
  const TestFolder folder;
  CHECK(read_pretrained_config(folder / "none").empty());
  CHECK(read_pretrained_config(folder.path()).empty());
  folder.write("config.json", "{\"hidden_size\": 64}");
  folder.write("preprocessor_config.json", "{\"size\": 8}");
  const auto config = read_pretrained_config(folder.path());
  CHECK(config.config.json().at("hidden_size") == 64);
  CHECK(config.preprocessor.json().at("size") == 8);
  const auto text = [&](const std::string& content) {
    folder.write("config.json", content);
    try {
      read_pretrained_config(folder.path());
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::weights);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(text("{\n  \"a\": 1,\n  \"b\": ?\n}"), ContainsSubstring("config.json:3:8: the file is not valid JSON"));
  CHECK_THAT(text(R"({"a": 1, "b": {"c": 1, "c": 2}})"), ContainsSubstring("key 'b.c' stands twice"));
  CHECK_THAT(text("[1]"), ContainsSubstring("config.json:1:1: expected a JSON object"));
  CHECK_THAT(text("{} x"), ContainsSubstring("config.json:1:4"));
  CHECK_THAT(text(std::string("{}\0x", 4)),
             ContainsSubstring("config.json:1:3: the file is not valid JSON: it holds a NUL byte"));
  CHECK_THAT(text("{\"a\": 1e999}"), ContainsSubstring("config.json"));
  CHECK_THAT(text("{\"a\": \"\xff\"}"), ContainsSubstring("config.json:1"));
  CHECK_THAT(text("{\"a\":" + std::string(100000, '[')), ContainsSubstring("nested more than 64 levels deep"));
  CHECK_THAT(text(""), ContainsSubstring("config.json:1:1"));
  std::filesystem::remove(folder / "config.json");
  std::filesystem::create_directory(folder / "config.json");
  CHECK_THROWS_AS(read_pretrained_config(folder.path()), Error);
}
