// The stacks of a part (weights/stacked.h) as PEFT's files name them, and the adapters that are attached to their
// parts.
#pragma once
#include <antiphon/component/peft.h>
#include <antiphon/weights/stacked.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "divide.h"

namespace antiphon::lora {

class AttachedStacks {
 public:
  // `path`: of the file, for messages.
  AttachedStacks(std::string path, Peft& lora, const StackedPart& stacks);
  // The stack that is a tensor of this name, in this part or as it lies within a larger or a smaller model.
  std::optional<weights::Stack> called(const std::string& tensor) const;
  std::vector<PartOfChange> parts_of(const std::vector<std::string>& parameters) const;
  int64_t experts_of(const weights::Stack& stack) const { return weights::experts_of(stack, rows_); }
  // Error(weights): the change of a stack, or of an expert, is not that of adapters on these parts.
  [[noreturn]] void refuse(const std::string& stack, const std::vector<PartOfChange>& parts,
                           const std::string& what) const;

 private:
  std::string path_;
  const NameMap& names_;
  const NameMap own_names_;
  std::unordered_map<std::string, int64_t> rows_;
  std::unordered_map<std::string, int64_t> ranks_;  // of the attached adapters, by site
};

}  // namespace antiphon::lora
