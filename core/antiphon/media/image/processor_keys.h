// What files of processors of pictures and videos have in common.
#pragma once
#include <antiphon/component/pretrained.h>

namespace antiphon::media {

// Keys that say how transformers runs, and those that read_… functions here look at themselves.
const ForeignKeys& processor_keys();
// Error(weights) if pixels are not divided by 255.
void check_rescaled(const JsonTable& json);

}  // namespace antiphon::media
