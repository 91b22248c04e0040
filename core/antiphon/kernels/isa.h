// Which of the kernels' variants run.
#pragma once

namespace antiphon::kernels {

// avx512_bf16: AVX-512 whose processor multiplies bfloat16 by itself (AVX512_BF16, AMX); the row kernels are avx512's.
enum class Isa { baseline, avx2, avx512, avx512_bf16 };

// The best that this CPU has, and none above the environment's ANTIPHON_ISA (one of their names), by which every
// variant can be tried on one machine. Error(config) if that names something else.
Isa isa();
// "baseline", "avx2", "avx512", "avx512_bf16"
const char* name_of(Isa isa);

}  // namespace antiphon::kernels
