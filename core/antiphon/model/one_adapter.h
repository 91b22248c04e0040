// Adapters and trained modules of several parts as one adapter of PEFT. Used by export_adapter.cpp.
#pragma once
#include <map>
#include <set>

#include <antiphon/component/adapter_file.h>
#include <antiphon/component/model_family.h>
#include <antiphon/model/attach_peft.h>
#include <antiphon/model/export_adapter.h>

namespace antiphon::model {

// Error(config): no adapter of PEFT can be written, since `what`.
[[noreturn]] void refuse_adapter(const std::string& what, const std::string& help);
// A name of the part, or one that a file of the whole model has, as transformers has it in the whole model.
std::string in_transformers(const WholePart& place, const std::string& name);

class OneAdapter {
 public:
  // What a method changed and trained of one part: names become those within the whole model. Error(config) for layers
  // that transformers has as one tensor, and for experts, of which PEFT has no adapters of their own.
  void add(const AttachedPeft& peft, const WholePart& place);
  // A parameter of a module that is trained itself, by its name in transformers; twice is once.
  void add_whole(const std::string& name, const at::Tensor& tensor);
  bool has_sites() const { return !whole_.config.is_null() && !whole_.config.at("target_modules").empty(); }
  AdapterReport write(const std::filesystem::path& output, const std::filesystem::path& base);

 private:
  std::vector<std::string> outermost_modules(const std::set<std::string>& sites) const;

  AdapterFile whole_;
  std::string method_;  // its peft_type
  std::set<std::string> written_;
  std::map<std::string, std::string> modules_;  // a parameter of each
};

}  // namespace antiphon::model
