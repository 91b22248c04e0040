// Samples as Lhotse's cuts. Sources: Lhotse, docs/cuts.rst; lhotse/audio/recording.py (sampling_rate, num_samples and
// duration are the recording's), lhotse/supervision.py.
#pragma once
#include <antiphon/data/layouts/layouts.h>

namespace antiphon::data {

// One recording, or a piece or a channel of it, with a question and its answer, which is what the supervision says.
Layout lhotse_layout();

}  // namespace antiphon::data
