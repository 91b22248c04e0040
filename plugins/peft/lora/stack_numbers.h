// Ranks and scales that a file's settings give the changes of stacks, by the stacks' own names.
#pragma once
#include <map>
#include <set>
#include <string>

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

// Says the ranks of changes, by the stacks' sites, and the alphas that leave the scale as it was: by the last name if
// all of that name agree.
void put_stack_numbers(nlohmann::json& config, const std::map<std::string, int64_t>& ranks);

}  // namespace antiphon::lora
