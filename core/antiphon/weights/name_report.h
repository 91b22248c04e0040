// The mismatches between a checkpoint and a module, as one actionable error. Used inside this area.
#pragma once
#include <string>
#include <vector>

namespace antiphon::weights {

struct NameReport {
  std::vector<std::string> missing;              // checkpoint names that parameters need
  std::vector<std::string> unexpected;           // checkpoint names that no parameter takes
  std::vector<std::string> mismatched, doubled;  // sentences
  bool empty() const { return missing.empty() && unexpected.empty() && mismatched.empty() && doubled.empty(); }
};

// "all 12 missing names are there with the prefix 'model.' ..."; empty if no single prefix explains every missing name.
std::string prefix_hint(const NameReport& report);

// Throws Error(weights): the headline, then up to 20 names of each class with its count.
[[noreturn]] void fail_names(const NameReport& report, std::string headline);

// What keeps parameters from being saved.
struct ExportReport {
  std::vector<std::string> unnamed;     // the map has no checkpoint name
  std::vector<std::string> empty_ones;  // still on the meta device
  std::vector<std::string> doubled;     // sentences
};
[[noreturn]] void fail_export(const ExportReport& report, std::string headline);

}  // namespace antiphon::weights
