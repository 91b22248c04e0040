#include <antiphon/model/part_slot.h>

#include <fmt/format.h>

#include <antiphon/base/fail_lines.h>
#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/check_parameters.h>

namespace antiphon::model {
namespace {

PartSlot slot(PartKind kind, size_t index, std::string path, const std::string& stream, const ComponentSpec& spec) {
  PartSlot made{kind, index, std::move(path), stream, spec.plugin, spec.weights, &spec.options};
  made.origin = origin_of(spec.plugin, spec.weights, spec.part, made.section());
  return made;
}

PartSlot llm_slot(const LanguageModelSpec& spec) {
  PartSlot made{PartKind::llm, 0, "llm", "", spec.plugin, spec.weights, &spec.options};
  made.origin = origin_of(spec.plugin, spec.weights, spec.part, made.section());
  return made;
}

void add_pefts(const MultimodalLm& model, const std::string& owner, const std::string& stream,
               const std::vector<ComponentSpec>& specs, std::vector<PartSlot>& all) {
  for (size_t i = 0; i < model.pefts().size(); ++i) {
    const auto& peft = model.pefts()[i];
    if (peft.owner == owner)
      all.push_back(
          slot(PartKind::peft, i, fmt::format("{}.peft.{}", owner, peft.index), stream, specs.at(peft.index)));
  }
}

// The names of a part in the checkpoints of a run that trained it.
NameMap trained_names(const std::string& path) { return {{{"{}", "{}"}}, {}, {{path + "/{}", "{}"}}}; }

void report(const Part& part, const weights::LoadReport& load, const std::string& from) {
  log::info(fmt::format("  {}: applied {}/{} tensors from {}{}", part.path, load.applied, load.total, from,
                        load.ignored ? fmt::format(" ({} not used by this part)", load.ignored) : ""));
}

// Adds what is to be done if a connector does not fit.
template <class Body>
auto explained(const PartSlot& slot, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    if (slot.kind != PartKind::connector || error.kind() != ErrorKind::weights) throw;
    fail_lines(error.kind(), lines_of(error),
               "leave `weights` of the connector out to train a new one, if what is before it was changed");
  }
}

weights::LoadReport load_trained(const TrainedPart& trained, Part& part, const PartSlot& slot,
                                 const weights::LoadOptions& options) {
  for (const auto& other : other_options(slot.origin, slot.section(), *slot.options))
    log::warning(fmt::format("{}: {}", part.path, other));
  return weights::load_parameters(*part.module, trained.values, trained_names(part.path), options);
}

// `only_own`: not what the part's directory has.
void load_part(Model& model, Part& part, const PartSlot& slot, const weights::LoadOptions& options,
               bool only_own = false) {
  const auto& from = slot.origin.weights;
  with_context("loading " + part.path, [&] {
    explained(slot, [&] {
      if (const auto trained = trained_part(slot.origin, part.path))
        report(part, load_trained(*trained, part, slot, options), trained->values.path().string());
      else if (slot.kind == PartKind::peft && !from.empty())
        report(part, weights::load_adapter(from, *model.lm().pefts()[slot.index].method, {}, options), from);
      else if (!from.empty() && !only_own)
        report(part, weights::load_parameters(*part.module, weights::Checkpoint(from), part.names, options), from);
    });
  });
}

}  // namespace

std::vector<PartSlot> slots_of(Model& whole) {
  const auto& model = whole.lm();
  const auto& llm = model.spec().llm;
  std::vector<PartSlot> all{llm_slot(llm)};
  add_pefts(model, "llm", "", llm.peft, all);
  for (const auto& [name, stream] : model.streams()) {
    const auto& encoders = stream->encoders();
    for (size_t i = 0; i < encoders.size(); ++i) {
      all.push_back(slot(PartKind::encoder, i, stream->encoder_path(i), name, encoders[i].spec));
      add_pefts(model, all.back().path, name, encoders[i].spec.peft, all);
    }
    const auto& connector = model.spec().streams.at(name).connector;
    all.push_back(slot(PartKind::connector, 0, fmt::format("streams.{}.connector", name), name, connector));
    add_pefts(model, all.back().path, name, connector.peft, all);
  }
  if (const auto* head = whole.head_spec()) all.push_back(slot(PartKind::head, 0, "head", "", *head));
  return all;
}

void load_parts(Model& model, const LoadSettings& settings, size_t first) {
  const auto slots = slots_of(model);
  auto all = model.parts();
  for (size_t i = first; i < all.size(); ++i) {
    stop_if_requested();
    auto& part = all[i];
    const auto& slot = slots[i];
    weights::LoadOptions options;
    options.device = settings.device, options.name = part.path;
    options.frozen_dtype = settings.formats.compute;
    if (slot.kind == PartKind::llm) options.matrix_dtype = settings.formats.matrices;
    if (slot.kind == PartKind::peft)
      log::info(fmt::format("  {}: {}", part.path, described(model.lm().pefts()[slot.index], part.plugin)));
    if (settings.device.is_meta()) {
      weights::cast_parameters(*part.module, options);
      continue;
    }
    load_part(model, part, slot, options);
    // A part's start does not depend on which other parts have weights.
    part.module->initialize(settings.seed + i + 1, settings.device);
    if (part.module->trainable_count() == 0) weights::cast_parameters(*part.module, options);
    if (slot.kind != PartKind::peft && slot.weights.empty())
      log::info(fmt::format("  {}: {} parameters, random", part.path,
                            human_count(static_cast<double>(part.module->parameter_count()))));
  }
}

void load_own(Model& model, uint64_t seed) {
  const auto slots = slots_of(model);
  auto parts = model.parts();
  for (size_t i = 0; i < parts.size(); ++i) {
    weights::LoadOptions options;
    options.name = parts[i].path;
    load_part(model, parts[i], slots[i], options, /*only_own=*/true);
    if (slots[i].origin.weights.empty()) parts[i].module->initialize(seed + i + 1, at::kCPU);
  }
}

std::vector<std::string> check_runs(Model& model) {
  const auto slots = slots_of(model);
  auto parts = model.parts();
  std::vector<std::string> lines;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& part = parts[i];
    const auto trained = trained_part(slots[i].origin, part.path);
    if (!trained) continue;
    const auto fitting = explained(slots[i], [&] {
      return weights::check_parameters(*part.module, trained->values, trained_names(part.path), part.path);
    });
    lines.push_back(
        fmt::format("{}: {}/{} tensors from {}", part.path, fitting.applied, fitting.total, trained->run.string()));
  }
  return lines;
}

}  // namespace antiphon::model
