#include <antiphon/model/part_slot.h>

#include <fmt/format.h>

#include <antiphon/base/fail_lines.h>
#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>
#include <antiphon/base/strings.h>
#include <antiphon/model/compose_adapter.h>
#include <antiphon/weights/adapter.h>
#include <antiphon/weights/check_parameters.h>

#include <algorithm>

namespace antiphon::model {
namespace {

PartSlot slot(PartKind kind, size_t index, std::string path, const std::string& stream, const ComponentSpec& spec) {
  PartSlot made{kind, kind, index, std::move(path), stream, spec.plugin, spec.weights, &spec.options};
  made.origin = origin_of(spec.plugin, spec.weights, spec.part, made.section());
  return made;
}

PartSlot llm_slot(const LanguageModelSpec& spec) {
  PartSlot made{PartKind::llm, PartKind::llm, 0, "llm", "", spec.plugin, spec.weights, &spec.options};
  made.origin = origin_of(spec.plugin, spec.weights, spec.part, made.section());
  return made;
}

// The methods on the last one.
void add_pefts(const MultimodalLm& model, const std::vector<ComponentSpec>& specs, std::vector<PartSlot>& all) {
  const auto owner = all.back();
  for (size_t i = 0; i < model.pefts().size(); ++i) {
    const auto& peft = model.pefts()[i];
    if (peft.owner != owner.path) continue;
    all.push_back(
        slot(PartKind::peft, i, fmt::format("{}.peft.{}", owner.path, peft.index), owner.stream, specs.at(peft.index)));
    all.back().owner = owner.kind;
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

// Whether a run trained all of the part.
bool is_whole(const TrainedPart& trained, const Part& part) {
  for (const auto& parameter : part.module->parameters())
    if (!trained.values.contains(part.path + "/" + parameter.name)) return false;
  return true;
}

// Runs that trained some of the part each, up to the first that trained all of it; below them what the part's directory
// has.
struct Layers {
  std::vector<TrainedPart> runs;
  bool whole = false;  // the last of them trained all
};

Layers layers_of(const PartSlot& slot, const Part& part) {
  Layers layers{trained_parts(slot.origin, part.path)};
  auto& runs = layers.runs;
  auto last = std::ranges::find_if(runs, [&](const TrainedPart& run) { return is_whole(run, part); });
  layers.whole = last != runs.end();
  if (layers.whole) runs.erase(last + 1, runs.end());
  // Without anything below, names that are missing are an error.
  if (!layers.whole && slot.origin.weights.empty() && !runs.empty()) runs.erase(runs.begin() + 1, runs.end());
  layers.whole |= slot.origin.weights.empty();
  return layers;
}

void load_trained(const Layers& layers, Part& part, const PartSlot& slot, weights::LoadOptions options) {
  for (const auto& other : other_options(slot.origin, slot.section(), *slot.options))
    log::warning(fmt::format("{}: {}", part.path, other));
  for (size_t i = layers.runs.size(); i-- > 0;) {
    const auto& run = layers.runs[i];
    options.partial = !(layers.whole && i + 1 == layers.runs.size());
    report(part, weights::load_parameters(*part.module, run.values, trained_names(part.path), options),
           run.values.path().string());
  }
}

// Whether anything gave values. `only_own`: not what the part's directory has.
bool load_part(Model& model, Part& part, const PartSlot& slot, const weights::LoadOptions& options,
               bool only_own = false) {
  const auto& from = slot.origin.weights;
  return with_context("loading " + part.path, [&] {
    return explained(slot, [&] {
      const auto layers = layers_of(slot, part);
      const bool below = !layers.whole && !from.empty();
      if (below && slot.kind == PartKind::peft) {
        const auto& peft = model.lm().pefts()[slot.index];
        const StackedPart stacks{peft.names, *peft.part};
        const auto own = peft.adapter ? *peft.adapter : PartOfAdapter{weights::adapter_files(from), {}, {}};
        auto load = weights::load_adapter(own.files, *peft.method, {}, options, peft.also_trained(), stacks);
        load.ignored += std::ssize(own.left);
        report(part, load, from);
      } else if (below && !only_own) {
        report(part, weights::load_parameters(*part.module, weights::Checkpoint(from), part.names, options), from);
      }
      if (!layers.runs.empty()) load_trained(layers, part, slot, options);
      return below || !layers.runs.empty();
    });
  });
}

// What a run's method trained of the part itself is read by the part's slot.
void check_owner(const std::vector<PartSlot>& slots, const PartSlot& slot, const AttachedPeft& peft) {
  if (slot.origin.weights.empty() || peft.also_trained().empty() || trained_parts(slot.origin, slot.path).empty())
    return;
  const auto owner = std::ranges::find(slots, peft.owner, &PartSlot::path);
  if (owner == slots.end() || owner->origin.weights == slot.origin.weights) return;
  fail(ErrorKind::config,
       fmt::format("{} takes its values from {}, which trained some of {} as well, and {} does not take those",
                   slot.path, slot.origin.weights, peft.owner, peft.owner),
       fmt::format("set weights = \"{}\" in the slot of {}, too", slot.origin.weights, peft.owner));
}

}  // namespace

std::vector<PartSlot> slots_of(Model& whole) {
  const auto& model = whole.lm();
  const auto& llm = model.spec().llm;
  std::vector<PartSlot> all{llm_slot(llm)};
  add_pefts(model, llm.peft, all);
  for (const auto& [name, stream] : model.streams()) {
    const auto& encoders = stream->encoders();
    for (size_t i = 0; i < encoders.size(); ++i) {
      all.push_back(slot(PartKind::encoder, i, stream->encoder_path(i), name, encoders[i].spec));
      add_pefts(model, encoders[i].spec.peft, all);
    }
    const auto& connector = model.spec().streams.at(name).connector;
    all.push_back(slot(PartKind::connector, 0, fmt::format("streams.{}.connector", name), name, connector));
    add_pefts(model, connector.peft, all);
  }
  if (const auto* head = whole.head_spec()) all.push_back(slot(PartKind::head, 0, "head", "", *head));
  return all;
}

namespace {

// Whether the adapter in the slot's directory has something of this part; of a directory that is the part alone, all.
bool changes(const PartSlot& slot, const Part& part) {
  if (slot.origin.part.empty()) return true;
  auto files = weights::adapter_files(slot.weights);
  files.tensors = weights::adapter_tensors(slot.weights);
  const auto place = adapter_place(slot.origin.weights, slot.origin.part, part.names);
  return !part_of(std::move(files), place).taken.empty();
}

}  // namespace

void check_adapters_inside(Model& model) {
  const auto slots = slots_of(model);
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto& slot = slots[i];
    if (slot.kind == PartKind::peft || slot.weights.empty() || !holds_adapter(slot.weights)) continue;
    if (!changes(slot, model.parts()[i])) continue;
    std::error_code unknown;
    const bool taken = std::ranges::any_of(slots, [&](const PartSlot& other) {
      return other.kind == PartKind::peft && std::filesystem::equivalent(other.origin.weights, slot.weights, unknown);
    });
    if (!taken)
      fail(ErrorKind::weights,
           fmt::format("[{}] {} holds an adapter beside the model (adapter_config.json), and no peft slot takes it",
                       slot.section(), slot.weights),
           fmt::format("take the model as `antiphon compose {}` prints it, with the adapter; for the model alone, move "
                       "adapter_config.json out of the directory",
                       slot.weights));
  }
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
    const bool given = load_part(model, part, slot, options);
    // A part's start does not depend on which other parts have weights.
    part.module->initialize(settings.seed + i + 1, settings.device);
    if (slot.kind == PartKind::peft) {
      check_owner(slots, slot, model.lm().pefts()[slot.index]);
      model.lm().note_given(slot.index, given);
    }
    if (part.module->trainable_count() == 0) weights::cast_parameters(*part.module, options);
    if (slot.kind != PartKind::peft && slot.weights.empty())
      log::info(fmt::format("  {}: {} parameters, random", part.path,
                            human_count(static_cast<double>(part.module->parameter_count()))));
  }
}

void start_methods(Model& model, uint64_t seed) {
  const auto slots = slots_of(model);
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].kind == PartKind::peft && !model.lm().pefts()[slots[i].index].given)
      model.lm().pefts()[slots[i].index].method->start(seed + i + 1);
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
    const auto layers = layers_of(slots[i], part);
    for (size_t j = 0; j < layers.runs.size(); ++j) {
      const auto& trained = layers.runs[j];
      const bool partial = !(layers.whole && j + 1 == layers.runs.size());
      const auto fitting = explained(slots[i], [&] {
        return weights::check_parameters(*part.module, trained.values, trained_names(part.path), part.path, partial);
      });
      lines.push_back(
          fmt::format("{}: {}/{} tensors from {}", part.path, fitting.applied, fitting.total, trained.run.string()));
    }
  }
  return lines;
}

}  // namespace antiphon::model
