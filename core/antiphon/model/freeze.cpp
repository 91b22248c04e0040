#include <antiphon/model/freeze.h>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/model/part_slot.h>

#include <algorithm>

namespace antiphon::model {
namespace {

std::vector<Parameter> trained_of(const Part& part) {
  std::vector<Parameter> all;
  if (part.kind == PartKind::peft) return all;
  for (auto& parameter : part.module->parameters()) {
    if (!parameter.tensor->requires_grad()) continue;
    parameter.name = part.path + "/" + parameter.name;
    all.push_back(std::move(parameter));
  }
  return all;
}

void check_globs(const std::vector<std::string>& globs, const std::vector<std::string>& names) {
  for (size_t i = 0; i < globs.size(); ++i)
    if (std::ranges::none_of(names, [&](const auto& name) { return glob_match(globs[i], name); }))
      fail(ErrorKind::config,
           fmt::format("model.freeze[{}]: '{}' matches no parameter of a part that is trained", i, globs[i]),
           names.empty() ? "no part is trained itself: set trainable = true, or leave `freeze` out"
                         : fmt::format("the first parameter is called '{}'", names.front()));
}

// The configuration would say of such a part that it is trained.
void check_parts(const std::vector<FrozenOfPart>& frozen) {
  for (const auto& of : frozen)
    if (of.frozen == of.all)
      fail(ErrorKind::config,
           fmt::format("model.freeze leaves nothing of [model.{}] to be trained: its globs match all of the {} "
                       "parameters that would be",
                       of.path, of.all),
           fmt::format("set trainable = false of [model.{}], and leave out its methods that train parameters of its "
                       "own, or match fewer of them",
                       of.path));
}

}  // namespace

std::vector<FrozenOfPart> freeze(Model& model, const std::vector<std::string>& globs) {
  std::vector<FrozenOfPart> frozen;
  if (globs.empty()) return frozen;
  std::vector<std::string> names;
  const auto slots = slots_of(model);
  const auto parts = model.parts();
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& part = parts[i];
    FrozenOfPart of{part.path};
    of.is_new = slots[i].weights.empty();
    for (const auto& parameter : trained_of(part)) {
      names.push_back(parameter.name);
      ++of.all;
      if (std::ranges::none_of(globs, [&](const auto& glob) { return glob_match(glob, parameter.name); })) continue;
      parameter.tensor->set_requires_grad(false);
      ++of.frozen, of.values += parameter.tensor->numel();
    }
    if (of.frozen > 0) frozen.push_back(std::move(of));
  }
  check_globs(globs, names);
  check_parts(frozen);
  return frozen;
}

}  // namespace antiphon::model
