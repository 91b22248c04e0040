// The same questions with the wrong media, or none: what a multimodal claim has to be measured against.
#pragma once
#include <antiphon/component/sample.h>

namespace antiphon::eval {

// Each media item is replaced by one of the same modality from another sample of the set, by a rotation of a random
// order, so that none keeps its own file. Only items of `modalities` (all if empty) are replaced.
// Error(data) if all samples name the same file, so that there is nothing to shuffle.
std::vector<Sample> with_shuffled_media(const std::vector<Sample>& samples, uint64_t seed,
                                        const std::vector<Modality>& modalities = {});

// All media parts are left out.
std::vector<Sample> without_media(std::vector<Sample> samples);

}  // namespace antiphon::eval
