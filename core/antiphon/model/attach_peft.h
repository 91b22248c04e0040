// Puts methods of fine-tuning on the parts of a model.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/component/name_map.h>
#include <antiphon/component/peft.h>
#include <antiphon/model/adapter_part.h>
#include <antiphon/model/model_spec.h>
#include <antiphon/model/origin.h>
#include <antiphon/model/part_kind.h>

namespace antiphon::model {

// A method on one of the parts.
struct AttachedPeft {
  PartKind owner_kind;
  std::string owner;  // path of the part
  size_t index = 0;   // among the methods of that part
  std::unique_ptr<Peft> method;
  size_t sites = 0;
  Module* part = nullptr;
  NameMap names = {};                         // of the part
  std::string name = {};                      // by which it is chosen; empty: it is always in use
  bool given = false;                         // something gave its parameters, so that it does not start anew
  TokenChoice tokens = TokenChoice::all;      // which its adapters change
  std::optional<PartOfAdapter> adapter = {};  // PEFT's folder, if its values come from one
  bool from_run = false;                      // a run's slot says so, and stands for itself
  // See Peft.
  std::string why_not_merged() const {
    return tokens == TokenChoice::all ? method->why_not_merged() : "it changes some tokens only";
  }
  bool can_merge() const { return why_not_merged().empty(); }
  // What it trains of the part itself, by the names of the Hugging Face model.
  std::vector<Parameter> also_trained() const;
};

// The linear sites of a module under their Hugging Face names.
std::vector<Site> named_sites(Module& module, const NameMap& names);

// Its tables of tokens in the same way.
std::vector<Site> named_tables(Module& module, const NameMap& names);

// The parameters of a module under their Hugging Face names.
std::vector<Parameter> named_parameters(Module& module, const NameMap& names);

struct PeftOwner {
  PartKind kind;
  std::string path;
};

// A part for methods to change.
struct PeftPart {
  Module& module;
  NameMap names;
  PeftTarget target;
  Origin origin;  // of the part's values
  PeftPart(Module& module, NameMap names, Origin origin, PeftTarget more = {});
};

// Builds the methods of `specs`, attaches them to the part `owner` and adds them to those of the model: adapters of
// all[i] are of set i. What the options leave out is as the adapter in the slot's `weights` has it. Options in force
// are written back. Without a part the options are checked alone.
void attach_pefts(const PeftOwner& owner, const std::optional<PeftPart>& part, std::vector<ComponentSpec>& specs,
                  std::vector<AttachedPeft>& all, config::Problems& problems);

// What a folder has of other parts of the model is to be in their slots, too: a problem if it is in none.
void check_all_taken(const std::vector<AttachedPeft>& all, config::Problems& problems);

// "lora attached to 6 sites", for the log.
std::string described(const AttachedPeft& peft, const std::string& plugin);

}  // namespace antiphon::model
