// [[stage]]: one file that trains in several stages, each a run of its own.
#pragma once
#include <string>
#include <vector>

#include <antiphon/config/value.h>

namespace antiphon::run {

// The names of the stages of a configuration in order; none: it has no stages. Error(config) if one has no name that a
// folder can have, or a name that another has.
std::vector<std::string> stage_names(const config::Value& root);

// Makes `root` the configuration of one of its stages: the stage's tables over the file's, then the --set assignments;
// train.output gets the stage's name as a folder. What earlier stages have trained goes on from the run of the stage
// before, if it is there, unless the stage names weights for the slot. Does nothing but apply `sets` if there are no
// stages. Error(config) if there is no such stage.
void select_stage(config::Value& root, const std::string& name, const std::vector<std::string>& sets);

}  // namespace antiphon::run
