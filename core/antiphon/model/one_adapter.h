// Adapters and trained modules of several parts as one adapter of PEFT. Used by export_adapter.cpp.
#pragma once
#include <map>
#include <set>

#include <antiphon/component/adapter_file.h>
#include <antiphon/component/model_family.h>
#include <antiphon/model/export_adapter.h>

namespace antiphon::model {

// Error(config): no adapter of PEFT can be written, since `what`.
[[noreturn]] void refuse_adapter(const std::string& what, const std::string& help);
// A name of the part, or one that a file of the whole model has, as transformers has it in the whole model.
std::string in_transformers(const WholePart& place, const std::string& name);
// Error(config) for layers that transformers has as one tensor, and for experts, of which PEFT has no adapters of their
// own; and for DoRA that was never trained. `names`: of the part.
void check_layers(const AdapterFile& file, const NameMap& names);

class OneAdapter {
 public:
  // Of one part: names become those within the whole model.
  void add(const AdapterFile& file, const WholePart& place);
  // A parameter of a module that is trained itself, by its name in transformers; twice is once.
  void add_whole(const std::string& name, const at::Tensor& tensor);
  bool has_sites() const { return !sites_.empty(); }
  AdapterReport write(const std::filesystem::path& output, const std::filesystem::path& base);

 private:
  std::vector<std::string> outermost_modules() const;
  void check_same(const AdapterFile& file);
  void add_site(const std::string& site, const std::string& own, int64_t rank, const nlohmann::json& config);

  nlohmann::json config_;
  std::vector<std::pair<std::string, at::Tensor>> tensors_;
  std::set<std::string> sites_, written_;
  std::map<std::string, std::string> modules_;  // a parameter of each
};

}  // namespace antiphon::model
