// Ranks and scales that a file's settings give the changes of stacks, by the stacks' own names.
#pragma once
#include <map>
#include <set>

#include <antiphon/component/adapter_file.h>

namespace antiphon::lora {

class StackNumbers {
 public:
  // `attached`: the settings of the adapters that the changes go to.
  StackNumbers(nlohmann::json& config, nlohmann::json attached) : config_(config), attached_(std::move(attached)) {}

  // Why a change of this rank at a site is not one of the attached adapters'; empty: it is.
  std::string why_not(const std::string& site, int64_t rank);
  // Takes out of the settings what why_not() has looked up by name, which means nothing else.
  void forget();

 private:
  double number(const std::string& pattern, const std::string& site, const char* otherwise);

  nlohmann::json& config_;
  const nlohmann::json attached_;
  std::map<std::string, std::set<std::string>> used_;  // by pattern
};

}  // namespace antiphon::lora
