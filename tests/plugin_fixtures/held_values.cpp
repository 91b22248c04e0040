// Gradient descent that tells after each update what this process holds: in FOLDER/RANK.jsonl a line for each
// parameter, or for its piece of one: {"name", "sizes", "bits"}, the values' bits as numbers.
// tests/distributed/copies_test.py compares processes by it.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/component/register.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/plugin/manifest.h>

#include <cstdlib>
#include <fstream>
#include <span>

namespace antiphon::fixture {

struct HeldOptions {
  std::string folder;
};

const config::Table<HeldOptions>& held_table() {
  static const auto* table = new config::Table<HeldOptions>(
      config::Table<HeldOptions>("held_values").field("folder", &HeldOptions::folder, "where it is told"));
  return *table;
}

class HeldValues : public UpdateRule {
 public:
  explicit HeldValues(const HeldOptions& options) : file_(path_in(options.folder), std::ios::app) {}

  std::vector<std::pair<std::string, at::Tensor>> make_state(const Parameter& /*parameter*/) const override {
    return {};
  }

  void update(const std::vector<UpdateItem>& items, double lr, double /*weight_decay*/) override {
    for (const auto& item : items) {
      item.parameter.sub_(item.gradient, lr);
      const auto bits = item.parameter.detach().contiguous().view(at::kInt);
      const std::span values(bits.const_data_ptr<int32_t>(), static_cast<size_t>(bits.numel()));
      file_ << fmt::format("{{\"name\": \"{}\", \"sizes\": {}, \"bits\": [{}]}}\n", item.name,
                           item.parameter.sizes().vec(), fmt::join(values, ", "));
    }
    file_.flush();
  }

  bool elementwise() const override { return true; }

 private:
  static std::string path_in(const std::string& folder) {
    const char* rank = std::getenv("RANK");
    return fmt::format("{}/{}.jsonl", folder, rank ? rank : "0");
  }

  std::ofstream file_;
};

}  // namespace antiphon::fixture

ANTIPHON_PLUGIN(held_values, "0.1.0") {
  using namespace antiphon::fixture;
  antiphon::register_component<antiphon::UpdateRule, HeldValues>(registrar, "held_values", "tells what it holds",
                                                                 held_table());
}
