// Which of the kernels' variants run.
#pragma once

namespace antiphon::kernels {

enum class Isa { baseline, avx2, avx512 };

// The best that this CPU has, and none above the environment's ANTIPHON_ISA (baseline, avx2 or avx512), by which every
// variant can be tried on one machine. Error(config) where that names something else.
Isa isa();
// "baseline", "avx2", "avx512"
const char* name_of(Isa isa);

}  // namespace antiphon::kernels
