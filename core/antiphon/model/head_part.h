// The head of a model that is not a language model alone: how it is built, and the part that it is.
#pragma once
#include <antiphon/component/head.h>
#include <antiphon/config/schema.h>
#include <antiphon/model/model.h>
#include <antiphon/model/model_spec.h>

namespace antiphon::model {

// On the meta device, trained as its slot says. Options in force are written back; nullptr if `problems` got errors.
std::unique_ptr<Head> build_head(ComponentSpec& spec, int64_t hidden_size, config::Problems& problems);

// For Model::parts(). Errors as in origin_of().
Part head_part(const ComponentSpec& spec, Head& head);

}  // namespace antiphon::model
