// PEFT's adapter of a whole model, as one of the parts that it changes has it: what one folder holds goes into several
// slots, each of which takes its own.
#pragma once
#include <string>
#include <vector>

#include <antiphon/component/name_map.h>
#include <antiphon/weights/adapter.h>

namespace antiphon::model {

class WholeModel;

// The module that has a parameter; the name itself if it has no dot.
std::string parent_of(const std::string& name);

// A part within the whole model that PEFT was given. Without rules the part is all of it, or is found by its names'
// ends (weights::load_adapter()).
struct AdapterPlace {
  std::vector<NameRule> own;     // names of modules and tensors there <-> in a model that is the part alone
  std::vector<NameRule> others;  // of the other parts
  NameMap names = {};            // of the part: of several spellings its sites have the one that is written
};

// Of a slot with these `weights` and `part` (model/model_spec.h), and of the part itself.
AdapterPlace adapter_place(const std::string& weights, const std::string& part, const NameMap& names);
AdapterPlace adapter_place(const WholeModel& whole, const std::string& part, const NameMap& names = {});

// The part's name for what the whole model has; nullopt: it is of another part, or of none that is known. Of rules of
// several parts the one with the longest beginning decides.
std::optional<std::string> name_in_part(const AdapterPlace& place, const std::string& name);
// Whether it is of another part.
bool is_of_others(const AdapterPlace& place, const std::string& name);

struct PartOfAdapter {
  weights::AdapterFiles files;     // names, patterns and modules are the part's; keys of no known part are as they were
  std::vector<std::string> taken;  // keys that are the part's
  std::vector<std::string> left;   // keys of other parts
};
PartOfAdapter part_of(weights::AdapterFiles files, const AdapterPlace& place);

}  // namespace antiphon::model
