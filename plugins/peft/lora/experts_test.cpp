// LoRA on experts in PEFT's files, which have it on the tensors of all experts of a layer.
#include "experts.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <antiphon/weights/adapter.h>
#include <antiphon/weights/test_folder.h>

#include <deque>
#include <map>

#include "stacks.h"
#include "test_adapter_error.h"

using namespace antiphon;
using namespace antiphon::weights;
using Catch::Matchers::ContainsSubstring;
using Names = std::vector<std::string>;

namespace {

constexpr int64_t kExperts = 3, kLayers = 2, kIn = 5, kInside = 4;
const Names kProjections{"gate", "up", "down"};
const std::string kStart = "base_model.model.model.";

// Names in a file are those of each expert; the tensors of all are read as well.
const NameMap kNames{{{"model.layers.{}.experts.gate_up", "layers.{}.experts.*.[gate,up].weight", true},
                      {"model.layers.{}.experts.down", "layers.{}.experts.*.down.weight", true},
                      {"model.{}", "{}"}},
                     {},
                     {}};

int64_t in_of(const std::string& projection) { return projection == "down" ? kInside : kIn; }
int64_t out_of(const std::string& projection) { return projection == "down" ? kIn : kInside; }

std::vector<std::pair<std::string, std::string>> places(const std::string& before, const Names& projections) {
  std::vector<std::pair<std::string, std::string>> all;
  for (int64_t layer = 0; layer < kLayers; ++layer)
    for (int64_t expert = 0; expert < kExperts; ++expert)
      for (const auto& name : projections)
        all.emplace_back(fmt::format("{}layers.{}.experts.{}.{}", before, layer, expert, name), name);
  return all;
}

class Experts : public Module {
 public:
  Experts() {
    for (const auto& [site, name] : places("", kProjections))
      add(site + ".weight", weights_.emplace_back(), {out_of(name), in_of(name)}, Init::normal, Role::matrix);
    set_requires_grad(false);
  }

 private:
  std::deque<at::Tensor> weights_;
};

class Lora : public Peft, private Module {
 public:
  explicit Lora(int64_t r, const Names& projections = kProjections) : rank(r), targets(projections) {
    for (const auto& [site, name] : places("model.", projections)) {
      add(site + ".lora_A.weight", factors[site + ".A"], {rank, in_of(name)}, Init::normal, Role::matrix);
      add(site + ".lora_B.weight", factors[site + ".B"], {out_of(name), rank}, Init::normal, Role::matrix);
    }
  }
  std::vector<std::string> attach(const PeftTarget&) override { return {}; }
  Module& module() override { return *this; }
  nlohmann::json adapter_config() const override {
    return {{"peft_type", "LORA"},
            {"r", rank},
            {"lora_alpha", 6.0},
            {"lora_dropout", 0.1},
            {"rank_pattern", nlohmann::json::object()},
            {"alpha_pattern", nlohmann::json::object()},
            {"target_modules", targets}};
  }
  ForeignKeys config_keys() const override {
    return {
        .fixed = {{"target_parameters", {nlohmann::json::array()}}},
        .other = {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "target_modules", "lora_dropout"},
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

  void initialize() { Module::initialize(3, at::kCPU); }
  at::Tensor change(int64_t layer, int64_t expert, const std::string& projection) {
    const auto site = fmt::format("model.layers.{}.experts.{}.{}", layer, expert, projection);
    if (!factors.contains(site + ".A")) return at::zeros({out_of(projection), in_of(projection)});
    return at::mm(factors[site + ".B"], factors[site + ".A"]).detach() * (6.0 / static_cast<double>(rank));
  }
  at::Tensor change_of_stack(int64_t layer, int64_t expert, const std::string& stack) {
    if (stack == "down") return change(layer, expert, "down");
    return at::cat({change(layer, expert, "gate"), change(layer, expert, "up")});
  }
  std::map<std::string, at::Tensor> factors;
  int64_t rank;
  Names targets;
};

// As PEFT computes it: ParamWrapper.get_delta_weight().
at::Tensor delta(const at::Tensor& a, const at::Tensor& b, double scale) {
  return at::einsum("ore,eri->eoi", {b.reshape({b.size(0), -1, kExperts}), a.reshape({kExperts, -1, a.size(1)})}) *
         scale;
}

nlohmann::json config_in(const TestFolder& folder) { return nlohmann::json::parse(folder.read("adapter_config.json")); }

at::Tensor delta_in(const TestFolder& folder, const std::string& key, const std::string& stack) {
  const Checkpoint file(folder / "adapter_model.safetensors");
  const auto config = config_in(folder);
  const double rank = config["rank_pattern"].value(stack, config["r"].get<double>()),
               alpha = config["alpha_pattern"].value(stack, config["lora_alpha"].get<double>());
  const auto a = file.tensor(key + ".lora_A.weight");
  CHECK(static_cast<double>(a.size(0)) == rank * kExperts);
  return delta(a, file.tensor(key + ".lora_B.weight"), alpha / rank);
}

LoadReport load(const TestFolder& folder, Lora& lora) {
  Experts part;
  return load_adapter(folder.path(), lora, {}, {.name = "adapter"}, {}, StackedPart{kNames, part});
}

void save(const TestFolder& folder, Lora& lora) {
  Experts part;
  save_adapter(folder.path(), lora, "", {}, {}, StackedPart{kNames, part});
}

// As PEFT writes a change of both tensors: down's keys are the module's.
void write_peft(const TestFolder& folder, int64_t rank, const std::string& more = "", const std::string& start = kStart,
                const std::string& parameters = R"("experts.down","experts.gate_up")") {
  folder.write("adapter_config.json",
               fmt::format(R"({{"peft_type":"LORA","r":{},"lora_alpha":6.0,"target_parameters":[{}]{}}})", rank,
                           parameters, more));
  NamedTensors tensors;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const auto key = fmt::format("{}layers.{}.experts", start, layer);
    const auto put = [&](const std::string& site, int64_t rows, int64_t columns, int64_t first) {
      const auto filled = [&](int64_t n, int64_t m) {
        return at::arange(first, first + n * m).view({n, m}).to(at::kFloat);
      };
      tensors.emplace_back(site + ".lora_A.weight", filled(kExperts * rank, columns) + layer);
      tensors.emplace_back(site + ".lora_B.weight", filled(rows, kExperts * rank) - layer);
    };
    put(key + ".base_layer", 2 * kInside, kIn, 1), put(key, kIn, kInside, 7);
  }
  save_safetensors(folder / "adapter_model.safetensors", tensors);
}

std::string adapter_error(const TestFolder& folder, Lora lora) {
  return lora::adapter_error([&] { load(folder, lora); });
}

}  // namespace

TEST_CASE("LoRA on experts is written as PEFT has it on the tensors of all, and read again") {
  const auto first = kStart + "layers.0.experts";
  for (const auto& on : {kProjections, Names{"gate", "up"}, Names{"down"}, Names{"up"}}) {
    const TestFolder folder;
    Lora lora(2, on), read(2, on);
    lora.initialize();
    save(folder, lora);
    const bool down = on.back() == "down", gate_up = on.size() > 1 || !down;
    const auto config = config_in(folder);
    CHECK(config["target_modules"].empty());
    CHECK(config["lora_dropout"] == 0);
    CHECK(config["target_parameters"].size() == size_t{down} + size_t{gate_up});
    for (int64_t expert = 0; expert < kExperts; ++expert) {
      if (down)
        CHECK(at::allclose(delta_in(folder, first, "down")[expert], lora.change(0, expert, "down"), 1e-6, 1e-6));
      if (gate_up)
        CHECK(at::allclose(delta_in(folder, first + (down ? ".base_layer" : ""), "gate_up")[expert],
                           lora.change_of_stack(0, expert, "gate_up"), 1e-6, 1e-6));
    }
    CHECK(load(folder, read).applied == static_cast<int64_t>(lora.factors.size()));
    for (const auto& [name, factor] : lora.factors) CHECK(at::equal(read.factors[name], factor));
  }
}

TEST_CASE("LoRA that PEFT trained on the tensors of all experts gives each its own") {
  for (const auto* start : {"base_model.model.model.", "base_model.model.", "base_model.model.language_model.model."}) {
    const TestFolder folder;
    write_peft(folder, 2, "", start);
    const Checkpoint file(folder / "adapter_model.safetensors");
    Lora lora(2);
    CHECK(load(folder, lora).applied == static_cast<int64_t>(lora.factors.size()));
    for (const auto& [end, stack] : {std::pair{".base_layer", "gate_up"}, {"", "down"}}) {
      const auto key = fmt::format("{}layers.1.experts{}", start, end);
      const auto expected = delta(file.tensor(key + ".lora_A.weight"), file.tensor(key + ".lora_B.weight"), 3);
      for (int64_t expert = 0; expert < kExperts; ++expert)
        CHECK(at::allclose(lora.change_of_stack(1, expert, stack), expected[expert]));
    }
  }
}

TEST_CASE("changes of the tensors of experts that are not those of what is attached are refused") {
  const TestFolder folder;
  write_peft(folder, 2);
  CHECK(adapter_error(folder, Lora(2)).empty());
  CHECK_THAT(adapter_error(folder, Lora(2, {"gate", "down"})),
             ContainsSubstring("reaches model.layers.0.experts.0.up"));
  CHECK_THAT(adapter_error(folder, Lora(3)), ContainsSubstring("is multiplied by 3, and that of the attached"));
  write_peft(folder, 2, R"(,"rank_pattern":{".*\\.gate_up":4})");
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("has rank 2, and its settings say 4"));
  write_peft(folder, 2, "", kStart, R"("experts.down")");
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("names 1 tensors of it"));
  write_peft(folder, 2, "", kStart, R"("experts.gate_up","experts.down","norm")");
  CHECK_THAT(adapter_error(folder, Lora(2)), ContainsSubstring("target_parameters"));
  write_peft(folder, 2, "", kStart, R"("experts.gate_up","experts.down","gate.weight")");
  CHECK(adapter_error(folder, Lora(2)).empty());
}
