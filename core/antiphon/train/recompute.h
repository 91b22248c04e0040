// The key train.recompute.
#pragma once
#include <antiphon/config/schema.h>

namespace antiphon::train {

// How many blocks of each stack are computed again: "none" is 0, "full" all. A problem if it is neither of these nor a
// number from 0 on.
int64_t recomputed_blocks(const config::Value& recompute, config::Problems& problems);

}  // namespace antiphon::train
