// Whether what `antiphon export` wrote computes what the model with its adapters does.
#pragma once
#include <filesystem>
#include <optional>

#include <antiphon/run/loaded_model.h>

namespace antiphon::run {

struct ExportCheck {
  double difference = 0, largest = 0;  // of logits, in absolute numbers
  double bound = 0;                    // of difference / largest
  int64_t logits = 0;
};

// Logits of a probe, in float32 on the CPU: two texts of fixed ids, and behind the beginning of the second a noise
// image or sound of each stream; by the model that `open` names with its adapters beside the weights, and by the one
// that `output` holds. `bound`: nullopt: 1e-3 if that is in float32, else 0.05, since its numbers are rounded.
// Error(weights) if they differ by more, or are not finite.
ExportCheck check_export(const OpenOptions& open, const std::filesystem::path& output, std::optional<double> bound);

}  // namespace antiphon::run
