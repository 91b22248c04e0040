// What files of processors of pictures and videos have in common.
#pragma once
#include <antiphon/component/pretrained.h>

namespace antiphon::media {

// Keys that say how transformers runs, those that read_… functions here look at themselves, and the steps that all
// these processors perform.
const ForeignKeys& processor_keys();
// Error(weights) if pixels are not divided by 255.
void check_rescaled(const JsonTable& json);

}  // namespace antiphon::media
