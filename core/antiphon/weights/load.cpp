#include <antiphon/weights/load.h>

#include <antiphon/weights/check_parameters.h>

#include <unordered_map>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/signals.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/name_report.h>
#include <antiphon/weights/stacked.h>

namespace antiphon::weights {
namespace {

using Target = std::pair<Parameter, std::string>;  // a parameter and the checkpoint tensor that it takes

bool is_floating(Dtype dtype) {
  return dtype == Dtype::F16 || dtype == Dtype::BF16 || dtype == Dtype::F32 || dtype == Dtype::F64;
}

// Parameters have rows to be cut up by, which single numbers of some checkpoints (CLIP's logit_scale) have not.
bool is_one_number(const Parameter& parameter, size_t axes) {
  return axes == 0 && parameter.whole_sizes() == std::vector<int64_t>{1};
}

// Why this tensor cannot become this parameter; empty if it can.
std::string mismatch(const Parameter& parameter, const TensorInfo& info) {
  const auto sizes = parameter.whole_sizes();
  if (!is_one_number(parameter, info.shape.size()) &&
      !std::equal(sizes.begin(), sizes.end(), info.shape.begin(), info.shape.end(),
                  [](int64_t a, uint64_t b) { return static_cast<uint64_t>(a) == b; })) {
    return fmt::format("{}: expected [{}], got [{}] from '{}'", parameter.name, fmt::join(sizes, ", "),
                       fmt::join(info.shape, ", "), info.name);
  }
  if (!is_floating(info.dtype))
    return fmt::format("{}: '{}' is {}; F16, BF16, F32 or F64 is expected", parameter.name, info.name,
                       to_string(info.dtype));
  return {};
}

struct Plan {
  std::vector<Target> targets;
  NameReport report;
  int64_t ignored = 0;
};

Plan make_plan(Module& module, const Checkpoint& checkpoint, const NameMap& map) {
  Plan plan;
  const auto parameters = module.parameters();
  std::unordered_map<std::string, std::string> source;  // parameter name -> checkpoint name
  std::unordered_map<std::string, const Parameter*> known;
  for (const auto& parameter : parameters) known.emplace(parameter.name, &parameter);
  for (const auto& name : checkpoint.names()) {
    if (map.ignores(name)) {
      ++plan.ignored;
      continue;
    }
    const auto parameter = map.to_parameter(name);
    if (!parameter || !known.contains(*parameter)) {
      plan.report.unexpected.push_back(name);
    } else if (const auto [place, fresh] = source.emplace(*parameter, name); !fresh) {
      plan.report.doubled.push_back(fmt::format("{}: from '{}' and '{}'", *parameter, place->second, name));
    }
  }
  for (const auto& parameter : parameters) {
    const auto found = source.find(parameter.name);
    if (found == source.end()) {
      plan.report.missing.push_back(map.to_checkpoint(parameter.name).value_or(parameter.name));
      continue;
    }
    auto problem = mismatch(parameter, checkpoint.info(found->second));
    if (problem.empty())
      plan.targets.emplace_back(parameter, found->second);
    else
      plan.report.mismatched.push_back(std::move(problem));
  }
  return plan;
}

// A parameter that training changes: by a gradient, or as running statistics of a module that is trained.
bool changes(const Parameter& parameter, bool module_is_trained) {
  return parameter.tensor->requires_grad() || (parameter.fixed && module_is_trained);
}

std::optional<at::ScalarType> wanted_dtype(const at::Tensor& parameter, bool changing, const LoadOptions& options) {
  if (changing) return options.trainable_dtype;
  return parameter.dim() == 2 && options.matrix_dtype ? options.matrix_dtype : options.frozen_dtype;
}

Plan good_plan(Module& module, const Checkpoint& checkpoint, const NameMap& map, const std::string& name,
               bool partial) {
  auto plan = make_plan(module, checkpoint, map);
  if (partial) plan.report.missing.clear();
  const auto total = plan.targets.size() + plan.report.missing.size() + plan.report.mismatched.size();
  if (!plan.report.empty())
    fail_names(plan.report, fmt::format("{}: {} of {} parameters can be loaded from {}", name, plan.targets.size(),
                                        total, checkpoint.path().string()));
  if (total == 0)
    fail(ErrorKind::weights, fmt::format("{} has no parameters to load from {}", name, checkpoint.path().string()));
  return plan;
}

std::shared_ptr<const Checkpoint> borrowed(const Checkpoint& file) { return {std::shared_ptr<void>(), &file}; }

// A parameter that changes has its own memory and is not a view of the file.
void assign(at::Tensor& parameter, bool changing, const at::Tensor& value, const LoadOptions& options) {
  c10::AutoGradMode no_grad(false);
  const bool trainable = parameter.requires_grad();
  const auto dtype = wanted_dtype(parameter, changing, options).value_or(value.scalar_type());
  auto fresh = value.to(options.device, dtype);
  if (changing && fresh.is_alias_of(value)) fresh = fresh.clone();
  parameter = std::move(fresh);
  parameter.set_requires_grad(trainable);
}

}  // namespace

void cast_parameters(Module& module, const LoadOptions& options) {
  c10::AutoGradMode no_grad(false);
  const bool trained = module.trainable_count() > 0;
  for (auto& parameter : module.parameters()) {
    auto& tensor = *parameter.tensor;
    const bool trainable = tensor.requires_grad();
    const auto device = tensor.is_meta() ? at::Device(at::kMeta) : options.device;
    const auto dtype = wanted_dtype(tensor, changes(parameter, trained), options).value_or(tensor.scalar_type());
    tensor = tensor.detach().to(device, dtype);
    tensor.set_requires_grad(trainable);
  }
}

LoadReport check_parameters(Module& module, const Checkpoint& file, const NameMap& map, const std::string& name,
                            bool partial) {
  const auto plan = good_plan(module, *unstacked(borrowed(file), map, module), map, name, partial);
  const auto count = static_cast<int64_t>(plan.targets.size());
  return {count, count, plan.ignored, 0};
}

LoadReport load_parameters(Module& module, const Checkpoint& file, const NameMap& map, const LoadOptions& options) {
  const auto source = unstacked(borrowed(file), map, module);
  const auto& checkpoint = *source;
  const auto plan = good_plan(module, checkpoint, map, options.name, options.partial);
  LoadReport report{0, static_cast<int64_t>(plan.targets.size()), plan.ignored, 0};
  const bool trained = module.trainable_count() > 0;
  for (const auto& warning : file.warnings()) log::info(warning);
  for (const auto& [parameter, name] : plan.targets) {
    stop_if_requested();
    auto value = checkpoint.tensor(name);
    if (value.dim() == 0) value = value.view({1});
    assign(*parameter.tensor, changes(parameter, trained), parameter.part_of(value), options);
    if (!parameter.tensor->is_alias_of(value)) checkpoint.forget(name);
    ++report.applied;
    report.bytes += stored_bytes(*parameter.tensor);
  }
  return report;
}

namespace {

// As in transformers 5, values in processor_config.json take precedence over preprocessor_config.json. Those of
// pictures and of sounds are one table, as they were before.
JsonTable read_preprocessor(const std::filesystem::path& folder) {
  const auto whole = read_json_table(folder / "processor_config.json");
  const auto pictures = whole.table("image_processor"), sounds = whole.table("feature_extractor");
  if (pictures.exists() && sounds.exists()) {
    auto both = sounds.json();
    both.update(pictures.json());
    return JsonTable(std::move(both), whole.file());
  }
  if (pictures.exists() || sounds.exists()) return pictures.exists() ? pictures : sounds;
  return read_json_table(folder / "preprocessor_config.json");
}

// Of videos; a directory without either has one preprocessor for all (transformers: video_processing_utils.py).
JsonTable read_video_preprocessor(const std::filesystem::path& folder) {
  const auto whole = read_json_table(folder / "processor_config.json");
  if (whole.find("video_processor")) return whole.table("video_processor");
  return read_json_table(folder / "video_preprocessor_config.json");
}

}  // namespace

PretrainedConfig read_pretrained_config(const std::filesystem::path& folder) {
  return {read_json_table(folder / "config.json"), read_preprocessor(folder), read_video_preprocessor(folder)};
}

}  // namespace antiphon::weights
