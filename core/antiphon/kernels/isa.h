// Which variants of the kernels run.
#pragma once

namespace antiphon::kernels {

// avx512_bf16: AVX-512 with bfloat16 products in hardware (AVX512_BF16, AMX); the row kernels are avx512's.
enum class Isa { baseline, avx2, avx512, avx512_bf16 };

// The best that this CPU supports, capped by the environment variable ANTIPHON_ISA (one of the names below), so that
// every variant can be tried on one machine. Error(config) if that names something else.
Isa isa();
// "baseline", "avx2", "avx512", "avx512_bf16"
const char* name_of(Isa isa);

}  // namespace antiphon::kernels
