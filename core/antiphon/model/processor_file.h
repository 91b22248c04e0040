// processor_config.json of a Hugging Face directory, apart from the tables of its image processor and feature
// extractor, which encoders read.
#pragma once
#include <antiphon/component/json_table.h>

namespace antiphon::model {

// Warns about keys that are not known. Error(weights) for values that say something else than config.json: transformers
// counts a picture's places by them and refuses the picture then.
void check_processor_file(const JsonTable& processor, const JsonTable& config);

}  // namespace antiphon::model
