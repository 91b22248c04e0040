#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include <antiphon/weights/adapter.h>
#include <common/temporary_folder.h>

#include "adapted.h"
#include "network.h"

namespace antiphon::apps::conformance {
namespace {

at::Tensor x(at::ScalarType type = at::kFloat) { return made({5, Base::in}, 71).to(type); }

void attaches(const Subject& subject) {
  const auto a = attached(subject);
  expect(!a.paths.empty(), "expected the paths of the sites that it attached to, got none");
  const std::set<std::string> paths(a.paths.begin(), a.paths.end());
  for (const auto& site : a.base->sites())
    expect(!site.linear->adapters.empty() == paths.contains(site.path),
           "expected an adapter at exactly the sites that attach() returned; {} is wrong", site.path);
  for (const auto& site : a.base->tables())
    expect(!site.table->adapters.empty() == paths.contains(site.path),
           "expected a change of exactly the tables that attach() returned; {} is wrong", site.path);
  for (const auto& parameter : a.peft->module().parameters()) {
    const bool below = std::any_of(a.paths.begin(), a.paths.end(),
                                   [&](const auto& path) { return parameter.name.starts_with(path + "."); });
    expect(below || parameter.fixed, "expected parameters named '<site>.<name>', got '{}'", parameter.name);
  }
  expect(a.peft->adapter_config().contains("peft_type"), "expected PEFT's adapter_config with a peft_type, got {}",
         a.peft->adapter_config().dump());
}

void refuses_unmatched(const Subject& subject) {
  auto mistyped = subject;
  (*mistyped.options.get_if<config::Value::Table>())["targets"] =
      config::Value(config::Value::Array{config::Value("q_prj")});
  const Base base;
  const auto peft = build<Peft>(mistyped);
  expect_error(ErrorKind::config, {"q_prj", "did you mean 'q_proj'"},
               [&] { peft->attach(target_of(const_cast<Base&>(base))); });
}

// A method on top of another one: the second changes what the first made, each can be switched off, and merging both in
// their order keeps the function.
void composes(const Subject& subject) {
  c10::AutoGradMode no_grad(false);
  auto a = attached(subject);
  const auto second = build<Peft>(subject);
  second->attach(target_of(*a.base));
  start(a.peft->module(), 7), start(second->module(), 8);
  for (const auto& site : a.base->sites())
    for (size_t i = 0; i < site.linear->adapters.size(); ++i) site.linear->adapters[i]->set = static_cast<int>(i);
  const auto of = [&](uint64_t sets) {
    const AdapterScope scope(sets);
    return a.base->forward(x());
  };
  const auto both = of(3), first = of(1), none = of(0);
  const auto differ = [](const at::Tensor& p, const at::Tensor& q) { return !at::allclose(p, q, 1e-4, 1e-5); };
  expect(differ(both, first) && differ(first, none) && differ(of(2), both),
         "expected each method to change the output");
  const Base plain;
  expect_close(none, plain.forward(x()), 1e-6, "the model with all adapters switched off");
  if (!a.peft->can_merge()) return;
  a.peft->merge();
  expect_close(a.base->forward(x()), both, 1e-5, "the model with the first method merged");
  second->merge();
  expect_close(a.base->forward(x()), both, 1e-5, "the model with both merged");
}

// Around a base whose weight is not a plain matrix.
void takes_any_base(const Subject& subject) {
  c10::AutoGradMode no_grad(false);
  struct Doubled : LinearBase {
    const nn::Linear& linear;
    explicit Doubled(const nn::Linear& l) : linear(l) {}
    at::Tensor product(const at::Tensor& input) const override { return linear.product(input) * 2; }
    Plain weights() const override {
      return {linear.weight * 2, linear.bias.defined() ? linear.bias * 2 : at::Tensor()};
    }
  };
  auto a = attached(subject);
  a.peft->module().initialize(3, at::kCPU);
  start(a.peft->module(), 3);
  std::map<std::string, at::Tensor> got;
  for (const auto& site : a.base->sites())
    if (!site.linear->adapters.empty())
      got[site.path] = site.linear->adapters.front()->forward(x(), Doubled(*site.linear));
  for (auto& parameter : a.base->parameters()) parameter.tensor->mul_(2);
  for (const auto& site : a.base->sites())
    if (got.contains(site.path))
      expect_close(got[site.path], site.linear->forward(x()), 1e-5, site.path + ", around a base product given,");
}

// At the start (which need not be the identity) and after training, with and without a gradient.
void merged_is_forward(const Subject& subject) {
  for (const bool trained : {false, true}) {
    auto a = attached(subject);
    a.peft->module().initialize(3, at::kCPU);
    a.peft->start(3);
    if (trained) start(a.peft->module(), 3);
    for (const bool gradient : {false, true}) {
      c10::AutoGradMode mode(gradient);
      for (const auto& site : a.base->sites()) {
        if (site.linear->adapters.empty()) continue;
        const auto merged = site.linear->adapters.front()->merged({site.linear->weight, site.linear->bias});
        expect(merged.has_value() == a.peft->can_merge(), "expected merged() to be what can_merge() says");
        if (!merged) continue;
        expect(merged->weight.scalar_type() == at::kFloat, "expected a float32 merged weight, got {}",
               at::toString(merged->weight.scalar_type()));
        expect_close(site.linear->forward(x()), at::linear(x(), merged->weight, merged->bias), 1e-5,
                     site.path + (trained ? " after training" : " at the start"));
      }
      for (const auto& site : a.base->tables()) {
        if (site.table->adapters.empty()) continue;
        const auto merged = site.table->adapters.front()->merged(*site.table->weight);
        expect_close(site.table->rows(at::arange(site.table->tokens)), merged, 1e-5,
                     "rows of " + site.path + (trained ? " after training" : " at the start"));
      }
    }
  }
}

void merges(const Subject& subject) {
  c10::AutoGradMode no_grad(false);
  auto a = attached(subject);
  start(a.peft->module(), 4);
  const auto before = a.base->forward(x());
  if (!a.peft->can_merge()) return expect_error(ErrorKind::config, {}, [&] { a.peft->merge(); });
  a.peft->merge();
  for (const auto& site : a.base->sites())
    expect(site.linear->adapters.empty(), "expected no adapter after merge(), got one at {}", site.path);
  for (const auto& site : a.base->tables())
    expect(site.table->adapters.empty(), "expected no change after merge(), got one of {}", site.path);
  expect_close(a.base->forward(x()), before, 1e-5, "the model after merge()");
}

void leaves_base_alone(const Subject& subject) {
  auto a = attached(subject);
  start(a.peft->module(), 5);
  a.peft->module().set_requires_grad(true);
  const auto input = x().requires_grad_(true);
  a.base->forward(input).sum().backward();
  expect(input.grad().defined(), "expected a gradient on the input, so that layers below are trained, got none");
  for (const auto& parameter : a.base->parameters())
    expect(!parameter.tensor->grad().defined(), "expected no gradient on the frozen weight {}", parameter.name);
}

// If the file holds something else than the parameters (of LoRA, a kept start beside what is trained), it is
// refused.
void reads_back(const Subject& subject) {
  auto written = attached(subject), read = attached(subject);
  start(written.peft->module(), 6);
  const TemporaryFolder folder("conformance");
  weights::save_adapter(folder.path(), *written.peft, "");
  if (written.peft->file_tensors().size() != written.peft->module().parameters().size())
    return expect_error(ErrorKind::weights, {}, [&] { weights::load_adapter(folder.path(), *read.peft); });
  const auto load = weights::load_adapter(folder.path(), *read.peft);
  const auto a = written.peft->module().parameters(), b = read.peft->module().parameters();
  expect(load.applied == static_cast<int64_t>(a.size()), "expected {} tensors applied, got {}", a.size(), load.applied);
  for (size_t i = 0; i < a.size(); ++i)
    expect(at::equal(*a[i].tensor, *b[i].tensor), "expected '{}' back as it was written", a[i].name);
}

// Of a method that trains the part's own parameters alone: they are there, and what is written is read back.
void trains_its_own(const Subject& subject) {
  const auto a = attached(subject);
  const auto all = target_of(*a.base).parameters;
  const std::set<std::string> known(all.begin(), all.end());
  for (const auto& name : a.peft->also_trained())
    expect(known.contains(name), "expected names of the part's parameters, got '{}'", name);
  expect(a.peft->module().parameters().empty(), "expected sites for parameters of its own, got none");
}

std::vector<Parameter> own_of(const Adapted& a) {
  const auto names = a.peft->also_trained();
  auto all = a.base->parameters();
  std::erase_if(all, [&](const auto& parameter) { return std::ranges::count(names, parameter.name) == 0; });
  return all;
}

void own_reads_back(const Subject& subject) {
  c10::AutoGradMode no_grad(false);
  const auto written = attached(subject), read = attached(subject);
  for (auto& parameter : own_of(written)) parameter.tensor->add_(1);
  const TemporaryFolder folder("conformance");
  weights::save_adapter(folder.path(), *written.peft, "", {}, own_of(written));
  weights::load_adapter(folder.path(), *read.peft, {}, {.name = "adapter"}, own_of(read));
  expect_close(read.base->forward(x()), written.base->forward(x()), 1e-6, "the part with the values that were written");
  written.peft->merge();
  expect_close(written.base->forward(x()), read.base->forward(x()), 1e-6, "the part after merge()");
}

void check_own(Report& report, const Subject& subject) {
  report.check("attach: parameters of the part, and none of its own", [&] { trains_its_own(subject); });
  report.check("attach: a target that matches nothing is refused with a suggestion",
               [&] { refuses_unmatched(subject); });
  report.check("files: the part's parameters are written and read back", [&] { own_reads_back(subject); });
}

Network adapted_network(const Subject& subject) {
  auto adapted = std::make_shared<Adapted>(attached(subject));
  return {adapted, &adapted->peft->module(),
          [base = adapted->base.get()](at::ScalarType type) { return base->forward(x(type)); },
          adapted->peft->exact_gradient()};
}

bool has_targets(const Subject& subject) {
  const auto& fields = subject.entry.schema->fields();
  return std::any_of(fields.begin(), fields.end(), [](const auto& field) { return field.key == "targets"; });
}

bool on_layers(const Adapted& a) {
  return std::ranges::any_of(a.base->sites(), [](const auto& site) { return !site.linear->adapters.empty(); });
}

void check_peft(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<Peft>(subject))) return;
  const auto first = attached(subject);
  if (first.peft->prompt_tokens() + first.peft->prefix_tokens() > 0) return check_prompt(report, subject);
  if (first.paths.empty() && !first.peft->also_trained().empty()) return check_own(report, subject);
  if (!report.check("attach: to the sites that it returns, parameters named below them", [&] { attaches(subject); }))
    return;
  if (has_targets(subject))
    report.check("attach: a target that matches no site is refused with a suggestion",
                 [&] { refuses_unmatched(subject); });
  if (on_layers(first)) {  // rows of tokens take the place of what is below them
    report.check("attach: two methods on the same sites, each switched off by itself", [&] { composes(subject); });
    report.check("forward: around any base", [&] { takes_any_base(subject); });
  }
  report.check("merge: merged() is what forward() does, at the start and trained", [&] { merged_is_forward(subject); });
  report.check("merge: merge() keeps the function and detaches", [&] { merges(subject); });
  report.check("gradient: reaches the input, and no frozen weight", [&] { leaves_base_alone(subject); });
  report.check("files: an adapter written in PEFT's format reads back bitwise, or is refused",
               [&] { reads_back(subject); });
  check_network(report, [&] { return adapted_network(subject); });
}

const KindChecks registered{KindOf<Peft>::name, check_peft};

}  // namespace
}  // namespace antiphon::apps::conformance
